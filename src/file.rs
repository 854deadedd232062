//! Small files that settings name: keys, tokens, certificates.

use std::path::Path;

/// The content of a file of at most this many bytes. Anything but a regular file is refused: a pipe would be waited for without end.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let about = |why: std::io::Error| why.to_string();
    if !std::fs::metadata(path).map_err(about)?.is_file() {
        return Err("it is not a regular file".into());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(about)?.take(most + 1).read_to_end(&mut bytes).map_err(about)?;
    if bytes.len() as u64 > most {
        return Err(format!("it is larger than {most} bytes"));
    }
    Ok(bytes)
}
