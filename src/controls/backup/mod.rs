//! Controls of the family `backup`.
