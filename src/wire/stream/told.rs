//! Why an attempt on a connection failed, in words for the person who is woken by it.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::super::failure::{Failure, FailureKind, broke_off, plain};
use super::super::resolve::Unresolved;
use super::connection::Broken;
use crate::backend::Heard;

/// How far an attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// For a connection that was kept.
    Looking,
    Resolving,
    Connecting(IpAddr),
    /// The handshake of TLS.
    Securing,
    /// That of the backend.
    Greeting,
    Sending,
    /// For an ack.
    Waiting,
    /// All is written, and no ack is expected.
    Left,
}

fn failure(kind: FailureKind, text: String) -> Failure {
    Failure { kind, text }
}

/// The deadline passed.
pub(super) fn late(url: &str, phase: Phase, timeout: Duration) -> Failure {
    let text = match phase {
        Phase::Looking | Phase::Resolving => format!(
            "the host of {url} was not resolved within {timeout:?}: name servers do not answer; look at DNS \
             (in a pod: /etc/resolv.conf), or use an address in LOGCHUTE_URL"
        ),
        Phase::Connecting(address) => format!(
            "no connection to {url} (last tried: {address}) within {timeout:?}: the host is down, or a firewall or network \
             policy swallows packets; check LOGCHUTE_URL"
        ),
        Phase::Securing => format!(
            "{url} accepted the connection but did not finish the TLS handshake within {timeout:?}: the store hangs, or that \
             is no TLS port; check the port, or begin LOGCHUTE_URL without +tls if that is meant"
        ),
        Phase::Greeting => format!(
            "{url} accepted the connection but did not finish the handshake within {timeout:?}: the store hangs, or it asks \
             for no login; then unset LOGCHUTE_TOKEN and LOGCHUTE_USER; if it speaks TLS, LOGCHUTE_URL must say +tls"
        ),
        Phase::Sending => format!(
            "{url} accepted the connection but did not read all of the records within {timeout:?}: the store hangs or the \
             network is slow; smaller batches (LOGCHUTE_BATCH_BYTES) or more time (LOGCHUTE_TIMEOUT) help with the latter"
        ),
        Phase::Waiting | Phase::Left => format!(
            "{url} was sent the records but did not acknowledge them within {timeout:?}: the store hangs, is overloaded, or \
             speaks another protocol; check LOGCHUTE_URL, and if the store is only slow, raise LOGCHUTE_TIMEOUT"
        ),
    };
    let kind = match phase {
        Phase::Looking | Phase::Resolving => FailureKind::Resolve,
        Phase::Connecting(_) => FailureKind::Connect,
        Phase::Securing => FailureKind::Tls,
        Phase::Greeting | Phase::Sending | Phase::Waiting | Phase::Left => FailureKind::Timeout,
    };
    failure(kind, text)
}

pub(super) fn panicked(url: &str, message: &str) -> Failure {
    failure(FailureKind::Other, format!("the backend for {url} panicked over its dialogue: {}", plain(message)))
}

pub(super) fn unresolved(url: &str, why: &Unresolved) -> Failure {
    let why = plain(&why.to_string());
    let text = format!("the host of {url} cannot be resolved ({why}); check the name in LOGCHUTE_URL, and DNS");
    failure(FailureKind::Resolve, text)
}

pub(super) fn unreachable(url: &str, why: &io::Error) -> Failure {
    let said = plain(&why.to_string());
    match why.kind() {
        io::ErrorKind::ConnectionRefused => failure(
            FailureKind::Connect,
            format!("nobody listens at {url} ({said}); is the store up, and are host and port in LOGCHUTE_URL right?"),
        ),
        io::ErrorKind::TimedOut => failure(
            FailureKind::Timeout,
            format!("the connection to {url} timed out ({said}): the host is down, or packets are lost on the way"),
        ),
        _ => failure(
            FailureKind::Connect,
            format!("no connection to {url} ({said}); check LOGCHUTE_URL and network settings"),
        ),
    }
}

/// The TLS handshake failed.
pub(super) fn insecure(url: &str, why: &io::Error) -> Failure {
    if let Some(failure) = of_tls(url, why) {
        return failure;
    }
    let said = plain(&why.to_string());
    let text = if broke_off(why.kind()) {
        format!(
            "{url} closed the connection during the TLS handshake ({said}); is that a TLS port? If it speaks plain tcp, \
             begin LOGCHUTE_URL without +tls; if it wants a client certificate, set LOGCHUTE_CERT and LOGCHUTE_KEY"
        )
    } else {
        format!("the TLS handshake with {url} failed ({said}); see LOGCHUTE_URL and LOGCHUTE_CA")
    };
    failure(FailureKind::Tls, text)
}

#[cfg(feature = "tls")]
fn of_tls(url: &str, why: &io::Error) -> Option<Failure> {
    let cause = why.get_ref()?.downcast_ref::<rustls::Error>()?;
    let text = match cause {
        rustls::Error::InvalidMessage(_) => format!(
            "{url} does not speak TLS at this port ({}); check the port, or begin LOGCHUTE_URL without +tls if that is meant",
            plain(&cause.to_string())
        ),
        _ => {
            let place = super::super::failure::Place { url, host: "", https: true, named: "LOGCHUTE_URL" };
            super::super::failure::tls(cause, place)
        }
    };
    Some(failure(FailureKind::Tls, text))
}

#[cfg(not(feature = "tls"))]
fn of_tls(_url: &str, _why: &io::Error) -> Option<Failure> {
    None
}

/// The connection is of no use any more.
pub(super) fn broken(url: &str, phase: Phase, why: &Broken) -> Failure {
    let said = match why {
        Broken::Io(error) => {
            if let Some(failure) = of_tls(url, error) {
                return failure;
            }
            plain(&error.to_string())
        }
        Broken::Closed => "end of stream".to_owned(),
        Broken::Talks => {
            let text = format!(
                "{url} said more than the 64 KiB that are read over one payload, and acknowledged nothing; is LOGCHUTE_URL \
                 that of a log store?"
            );
            return failure(FailureKind::Other, text);
        }
        Broken::Panicked(message) => return panicked(url, message),
        Broken::Heard(heard) => {
            let text = match heard {
                Heard::Acked(name) => {
                    let name: String = plain(name).chars().take(80).collect();
                    format!("{url} acknowledged what was not sent ({name:?}); the records are sent again")
                }
                Heard::Garbled(why) => {
                    format!("{url} does not answer in the protocol of its backend: {}", plain(why))
                }
                other => format!("{url} said what has no place here ({other:?})"),
            };
            return failure(FailureKind::Other, text);
        }
    };
    let text = match phase {
        Phase::Greeting => format!(
            "{url} closed the connection during the handshake ({said}): it may refuse the login, speak TLS, or not speak \
             this protocol; check LOGCHUTE_URL, LOGCHUTE_TOKEN and LOGCHUTE_USER"
        ),
        Phase::Sending => format!(
            "{url} broke off the connection while records were written ({said}): the store or what stands before it restarted, \
             or it refuses records of that size (LOGCHUTE_BATCH_BYTES)"
        ),
        Phase::Left => format!(
            "{url} closed the connection as records were written ({said}): if it happens each time, it speaks TLS \
             (LOGCHUTE_URL must then say +tls) or another protocol; it may have read some records, and all are sent again"
        ),
        _ => format!(
            "{url} closed the connection before it acknowledged the records ({said}): the store or what stands before it \
             restarted, or, if it happens each time, it speaks TLS (LOGCHUTE_URL must then say +tls) or another protocol; \
             they are sent again"
        ),
    };
    failure(FailureKind::Reset, text)
}
