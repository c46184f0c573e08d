//! Writes canonical JSON while a value is serialised: no tree of it is built first. `serde_json` walks the value and asks a
//! formatter for each piece of text, and this one puts the fields of an object in order when the object ends.

use std::cmp::Ordering;
use std::io;
use std::ops::Range;

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

use super::{MAX_DEPTH, exact, whole};

/// The canonical bytes of a value; none if it has no canonical form, or names a field twice.
pub(super) fn write<T: Serialize + ?Sized>(value: &T) -> Option<Vec<u8>> {
    let mut canonical = Canonical {
        out: Vec::with_capacity(512),
        ..Canonical::default()
    };
    let mut serializer = Serializer::with_formatter(io::sink(), &mut canonical);
    value.serialize(&mut serializer).ok()?;
    Some(canonical.out)
}

/// A field of an object that is being written.
#[derive(Clone)]
struct Field {
    /// Its name in `out`, in quotation marks.
    name: Range<usize>,
    /// Whether the name is as it is written: ASCII, and nothing escaped. It is compared many times.
    plain: bool,
    /// Where its value ends.
    end: usize,
}

/// What is written so far. All of it goes here, nothing to the writer that `serde_json` passes on: fields that are out of
/// order are moved.
#[derive(Default)]
struct Canonical {
    out: Vec<u8>,
    /// The fields of all objects that have begun and not ended.
    fields: Vec<Field>,
    /// Of each of these objects: its first field, and where the text of its fields begins.
    objects: Vec<(usize, usize)>,
    depth: usize,
    moved: Vec<u8>,
}

/// Why nothing was written. Whoever wants to know more looks at the value.
fn refused() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl Canonical {
    #[allow(
        clippy::unnecessary_wraps,
        reason = "it is what most methods of a formatter return"
    )]
    fn text(&mut self, text: &[u8]) -> io::Result<()> {
        self.out.extend_from_slice(text);
        Ok(())
    }

    fn integer(&mut self, number: Option<i64>) -> io::Result<()> {
        CompactFormatter.write_i64(&mut self.out, number.ok_or_else(refused)?)
    }

    fn enter(&mut self) -> io::Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(refused());
        }
        Ok(())
    }

    /// Puts the fields of the object that ends in order.
    fn sort(&mut self) -> io::Result<()> {
        let Some((first, begin)) = self.objects.pop() else {
            return Ok(());
        };
        let fields = &mut self.fields[first..];
        let out = &self.out;
        let order = |a: &Field, b: &Field| by_name(out, a, b);
        if !fields.is_sorted_by(|a, b| order(a, b) == Ordering::Less) {
            fields.sort_by(order);
            let twice = |pair: &[Field]| order(&pair[0], &pair[1]) == Ordering::Equal;
            if fields.windows(2).any(twice) {
                return Err(refused());
            }
            self.moved.clear();
            for field in fields {
                if !self.moved.is_empty() {
                    self.moved.push(b',');
                }
                self.moved
                    .extend_from_slice(&out[field.name.start..field.end]);
            }
            self.out.truncate(begin);
            self.out.extend_from_slice(&self.moved);
        }
        self.fields.truncate(first);
        Ok(())
    }
}

/// The order of two names as they are written: by UTF-16 code units, as the RFC says. A surrogate pair sorts before U+E000,
/// unlike in UTF-8.
fn by_name(out: &[u8], a: &Field, b: &Field) -> Ordering {
    if a.plain && b.plain {
        // Without the closing mark, so that a name sorts before those that begin with it.
        let name = |field: &Field| &out[field.name.start..field.name.end - 1];
        return name(a).cmp(name(b));
    }
    let units = |field: &Field| -> Vec<u16> {
        let name: String = serde_json::from_slice(&out[field.name.clone()]).unwrap_or_default();
        name.encode_utf16().collect()
    };
    units(a).cmp(&units(b))
}

macro_rules! integers {
    ($($method:ident: $type:ty),+) => {$(
        fn $method<W: ?Sized + io::Write>(&mut self, _: &mut W, value: $type) -> io::Result<()> {
            self.integer(i64::try_from(value).ok().and_then(exact))
        }
    )+};
}

impl Formatter for &mut Canonical {
    integers!(
        write_i8: i8, write_i16: i16, write_i32: i32, write_i64: i64, write_i128: i128,
        write_u8: u8, write_u16: u16, write_u32: u32, write_u64: u64, write_u128: u128
    );

    fn write_f32<W: ?Sized + io::Write>(&mut self, _: &mut W, value: f32) -> io::Result<()> {
        self.integer(whole(value.into()))
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, _: &mut W, value: f64) -> io::Result<()> {
        self.integer(whole(value))
    }

    fn write_number_str<W: ?Sized + io::Write>(&mut self, _: &mut W, _: &str) -> io::Result<()> {
        Err(refused())
    }

    fn write_raw_fragment<W: ?Sized + io::Write>(&mut self, _: &mut W, _: &str) -> io::Result<()> {
        Err(refused())
    }

    fn write_null<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.text(b"null")
    }

    fn write_bool<W: ?Sized + io::Write>(&mut self, _: &mut W, value: bool) -> io::Result<()> {
        self.text(if value { b"true" } else { b"false" })
    }

    fn begin_string<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.text(b"\"")
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.text(b"\"")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        _: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        self.text(fragment.as_bytes())
    }

    // serde_json escapes exactly as RFC 8785 section 3.2.2.2 demands; a test holds it to that.
    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        _: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        CompactFormatter.write_char_escape(&mut self.out, escape)
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.enter()?;
        self.text(b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.depth -= 1;
        self.text(b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        _: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.text(if first { b"" } else { b"," })
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.enter()?;
        self.text(b"{")?;
        self.objects.push((self.fields.len(), self.out.len()));
        Ok(())
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.depth -= 1;
        self.sort()?;
        self.text(b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        _: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.text(if first { b"" } else { b"," })?;
        let begin = self.out.len();
        self.fields.push(Field {
            name: begin..begin,
            plain: false,
            end: begin,
        });
        Ok(())
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        if let Some(field) = self.fields.last_mut() {
            field.name.end = self.out.len();
            let name = &self.out[field.name.clone()];
            field.plain = name.is_ascii() && !name.contains(&b'\\');
        }
        Ok(())
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.text(b":")
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        // Objects inside of the value have taken theirs away again.
        if let Some(field) = self.fields.last_mut() {
            field.end = self.out.len();
        }
        Ok(())
    }
}
