//! Files to which a server appends JSON, one value a line.

use std::path::Path;

use serde_json::Value;

/// All lines that are there in full: the last one may still be on its way. What is no JSON is a text, and what is no text
/// U+FFFD: the Collector writes bytes as they came.
pub(crate) fn read(file: &Path) -> Vec<Value> {
    let bytes = std::fs::read(file).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()));
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let value = |line| {
        let line = String::from_utf8_lossy(line);
        serde_json::from_str(&line).unwrap_or_else(|_| line.into_owned().into())
    };
    lines.map(value).collect()
}

#[test]
fn a_line_that_is_on_its_way_is_not_read() {
    let file = std::env::temp_dir().join(format!("logchute-lines-{}", std::process::id()));
    std::fs::write(&file, "{\"a\":1}\nnot JSON\n{\"b\":").unwrap();
    assert_eq!(read(&file), [serde_json::json!({"a": 1}), "not JSON".into()]);
    std::fs::remove_file(&file).unwrap();
}
