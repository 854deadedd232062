//! What is said where logchute was built without its feature `tls`.

use super::{Options, url};
use crate::error::Error;

/// Refuses what needs TLS: files for it, and where it is `wanted`, the URL.
pub(super) fn check(options: &Options, wanted: bool) -> Result<(), Error> {
    for (name, path) in [("ca", &options.ca), ("cert", &options.cert), ("key", &options.key)] {
        if let Some(path) = path {
            let must = "unset: it needs the feature `tls`, which is not compiled in";
            return Err(Error::setting(name, path.display(), must));
        }
    }
    if wanted {
        let must = "one without TLS: https and tls need the feature `tls`, which is not compiled in";
        return Err(Error::setting("url", url::masked(&options.url), must));
    }
    Ok(())
}
