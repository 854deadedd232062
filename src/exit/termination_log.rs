//! The last word of a container: one line in the file that Kubernetes shows as the reason of its end.
//!
//! Only a regular file that is there already is written, so nothing appears on machines without Kubernetes, and nothing
//! is followed anywhere. The application may have written to it first: the line is added.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use crate::printable;

/// Where Kubernetes has it, unless the pod says otherwise.
pub(crate) const PATH: &str = "/dev/termination-log";

/// What Kubernetes shows of it (`terminationMessagePath`).
const MOST: usize = 4096;

/// Adds that text as one line. Whatever is in the way is no matter.
pub(crate) fn tell(path: &Path, text: &str) {
    if !fs::symlink_metadata(path).is_ok_and(|there| there.is_file()) {
        return;
    }
    let mut line = String::from("logchute: ");
    printable::escape(&mut line, text, &[]);
    let end = (0..=line.len().min(MOST - 1)).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
    line.truncate(end);
    line.push('\n');
    if let Ok(mut file) = OpenOptions::new().append(true).open(path) {
        let _ = file.write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_added_to_a_regular_file_and_to_nothing_else() {
        let dir = std::env::temp_dir().join(format!("logchute-termination-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("log");
        tell(&path, "nobody asked");
        assert!(!path.exists(), "it is not created");
        tell(&dir, "a directory");

        fs::write(&path, "the application's\n").unwrap();
        tell(&path, "7 records\nare lost");
        assert_eq!(fs::read_to_string(&path).unwrap(), "the application's\nlogchute: 7 records\\nare lost\n");

        fs::write(&path, "").unwrap();
        tell(&path, &"ä".repeat(5_000));
        let written = fs::read_to_string(&path).unwrap();
        assert!(written.len() <= MOST && written.ends_with("ä\n"), "{}", written.len());

        #[cfg(unix)]
        {
            let link = dir.join("link");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            tell(&link, "through a link");
            assert_eq!(fs::read_to_string(&path).unwrap(), written);
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
