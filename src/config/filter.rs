//! Filter directives: the grammar of [`Targets`], `info,hyper=warn,my_app::db=debug`, without its traps.
//!
//! `Targets` alone takes `inf` for a target of that name at TRACE, which then sends nothing at all; `info,` for
//! `info,error`; and ` hyper` for a target that begins with a space. Here the first is refused and the others
//! mean what was meant.

use std::borrow::Cow;

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::names::distance;
use crate::error::Error;

const MUST: &str = "directives such as info,hyper=warn: levels (off, error, warn, info, debug, trace) and target=level";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Levels of other worlds.
const NO_LEVELS: [&str; 11] =
    ["warning", "err", "fatal", "critical", "notice", "verbose", "all", "none", "on", "true", "false"];

/// The filter that these directives make, and what is odd about them.
pub(crate) fn parse(name: impl Into<Cow<'static, str>>, directives: &str) -> Result<(Targets, Vec<String>), Error> {
    let name = name.into();
    let mut remarks = Vec::new();
    let mut targets = Targets::new();
    let mut any = false;
    for directive in directives.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        any = true;
        match one(directive) {
            Ok((None, level)) => targets = targets.with_default(level),
            Ok((Some(target), level)) => {
                if !directive.contains('=') && !target.contains("::") {
                    remarks.push(format!(
                        "{name}: {target:?} is no level, so it is taken as the target {target} at trace; \
                         write {target}=trace if that is meant"
                    ));
                }
                targets = targets.with_target(target, level);
            }
            Err(why) => return Err(Error::setting(name, directives, format!("{MUST}; {why}"))),
        }
    }
    if any { Ok((targets, remarks)) } else { Err(Error::setting(name, directives, MUST)) }
}

/// The same for a text of another world, `RUST_LOG`: what is not understood is left out, and told.
///
/// `None` where nothing is left.
pub(super) fn parse_lenient(name: &str, directives: &str) -> (Option<Targets>, Option<String>) {
    let mut targets = Targets::new();
    let (mut any, mut ignored) = (false, Vec::new());
    for directive in split_outside_brackets(directives).map(str::trim).filter(|directive| !directive.is_empty()) {
        let bare_word = || is_target(directive).then(|| (Some(directive.to_owned()), LevelFilter::TRACE));
        // Here a bare word is a target, as everyone's RUST_LOG has it, be it ever so near to a level.
        match one(directive).ok().or_else(bare_word) {
            Some((None, level)) => targets = targets.with_default(level),
            Some((Some(target), level)) => targets = targets.with_target(target, level),
            None => {
                ignored.push(directive);
                continue;
            }
        }
        any = true;
    }
    let remark = (!ignored.is_empty())
        .then(|| format!("{name}: ignored {:?}; only levels and target=level are understood here", ignored.join(",")));
    (any.then_some(targets), remark)
}

fn one(directive: &str) -> Result<(Option<String>, LevelFilter), String> {
    match directive.split_once('=') {
        Some((target, level)) => {
            let (target, level) = (target.trim(), level.trim());
            if !is_target(target) {
                return Err(format!("{target:?} is no target (filters by span or field are not taken here)"));
            }
            let level = level_of(level).ok_or_else(|| format!("{level:?} is no level"))?;
            Ok((Some(target.to_owned()), level))
        }
        None => {
            if let Some(level) = level_of(directive) {
                return Ok((None, level));
            }
            if !is_target(directive) {
                return Err(format!("{directive:?} is neither a level nor a target"));
            }
            let lower = directive.to_ascii_lowercase();
            let near = LEVELS.into_iter().find(|level| distance(&lower, level) <= 1);
            if near.is_some() || NO_LEVELS.contains(&lower.as_str()) || lower.parse::<i64>().is_ok() {
                let hint = near.map_or_else(String::new, |level| format!(", did you mean {level}?"));
                return Err(format!("{directive:?} is no level{hint} (a target of that name is {directive}=trace)"));
            }
            Ok((Some(directive.to_owned()), LevelFilter::TRACE))
        }
    }
}

fn level_of(text: &str) -> Option<LevelFilter> {
    // The empty text is ERROR to `LevelFilter`; `hyper=` is a slip.
    if text.is_empty() || text.starts_with('+') { None } else { text.parse().ok() }
}

fn is_target(text: &str) -> bool {
    let odd = |char: char| char.is_whitespace() || char.is_control() || "[]{}=\"',;".contains(char);
    !text.is_empty() && !text.contains(odd)
}

/// `a[s{x,y}]=info,b` in two pieces.
fn split_outside_brackets(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    text.split(move |char| {
        match char {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            _ => {}
        }
        char == ',' && depth <= 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    fn parsed(directives: &str) -> Targets {
        let (targets, remarks) = parse("LOGCHUTE_FILTER", directives).unwrap();
        assert!(remarks.is_empty(), "{remarks:?}");
        targets
    }

    #[test]
    fn levels_and_targets_mean_what_they_mean_to_targets() {
        let filter = parsed("info,hyper=warn,my_app::db=debug,noisy=off");
        assert_eq!(filter, "info,hyper=warn,my_app::db=debug,noisy=off".parse().unwrap());
        assert!(filter.would_enable("my_app::db::pool", &Level::DEBUG));
        assert!(!filter.would_enable("hyper::client", &Level::INFO));
        assert_eq!(parsed("INFO"), parsed("3"));
        assert_eq!(parsed("my_app::db"), parsed("my_app::db=trace"));
    }

    #[test]
    fn spaces_and_a_last_comma_change_nothing() {
        assert_eq!(parsed(" info , hyper = warn, "), parsed("info,hyper=warn"));
    }

    #[test]
    fn a_word_that_is_almost_a_level_is_refused() {
        for word in ["inf", "infos", "wran", "debg", "WARNING", "fatal", "none", "7", "-1", "tracee"] {
            let refused = parse("LOGCHUTE_FILTER", word).unwrap_err().to_string();
            assert!(refused.contains("is no level"), "{word}: {refused}");
        }
        let refused = parse("filter", "inf").unwrap_err().to_string();
        assert!(refused.contains("did you mean info?") && refused.contains("inf=trace"), "{refused}");
        assert!(parse("filter", "inf=trace").is_ok());
    }

    #[test]
    fn another_bare_word_is_a_target_and_told() {
        let (filter, remarks) = parse("LOGCHUTE_FILTER", "info,my_app").unwrap();
        assert_eq!(filter, "info,my_app=trace".parse().unwrap());
        assert!(matches!(&remarks[..], [one] if one.contains("my_app=trace")), "{remarks:?}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["", " ", ",", "hyper=", "=info", "a=b", "a=info=b", "info hyper=warn", "a[s{x}]=info", "a;b"] {
            let outcome = parse("filter", text);
            assert!(outcome.is_err(), "{text:?}: {outcome:?}");
        }
    }

    #[test]
    fn rust_log_keeps_what_is_understood() {
        let (filter, remark) =
            parse_lenient("RUST_LOG", "info,my_app[span{a,b=1}]=debug,[{x}]=trace,hyper=warn,x=loud");
        assert_eq!(filter.unwrap(), "info,hyper=warn".parse().unwrap());
        let remark = remark.unwrap();
        assert!(remark.contains("my_app[span{a,b=1}]=debug") && remark.contains("x=loud"), "{remark}");
        let (filter, remark) = parse_lenient("RUST_LOG", "my_app,errors");
        assert_eq!((filter.unwrap(), remark), ("my_app=trace,errors=trace".parse().unwrap(), None));
        assert!(parse_lenient("RUST_LOG", "[a]").0.is_none());
    }
}
