//! What the controls of encryption rest on, against OpenSSL and real API servers.

mod api_servers;
mod certificates;
mod declared;
mod openssl;
mod tls;
