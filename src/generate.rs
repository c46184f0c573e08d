//! stub
/// b
pub fn baseline() -> String {
    String::new()
}
/// w
pub fn write(_: &std::path::Path) -> Result<(), String> {
    Ok(())
}
