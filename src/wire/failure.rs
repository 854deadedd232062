//! Why an attempt brought no reply, in words for the person who is woken by it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use super::resolve::Unresolved;

/// An attempt that brought no reply. Whether the store took the records is unknown.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// What failed, at which URL, and what to change. Holds no secret.
    pub(crate) text: String,
}

/// Where it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FailureKind {
    /// The host has no address, or no name server says so.
    Resolve,
    /// Nobody listens or answers, or there is no way there.
    Connect,
    /// The handshake: a certificate, a version, or no TLS at the other end at all.
    Tls,
    /// The deadline passed with a connection standing.
    Timeout,
    /// The connection broke off.
    Reset,
    /// What came back is no HTTP, or something unforeseen.
    Other,
    /// There is no token to show, whatever the cause, so the store was sent nothing.
    Token,
    /// Nothing failed: on the way to a token something was learnt that the request is made of, so it was not sent.
    Outdated,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How far an attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Resolving,
    Connecting,
    /// Connecting, sending or waiting.
    Unknown,
    Sending,
    Waiting,
    Reading(u16),
}

/// Where an attempt went.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// The URL as it may be printed.
    pub(super) url: &'a str,
    /// The store's, not that of a proxy.
    pub(super) host: &'a str,
    pub(super) https: bool,
    /// The setting that gave the URL.
    pub(super) named: &'static str,
}

/// The deadline passed.
pub(super) fn late(place: Place<'_>, phase: Phase, timeout: Duration) -> Failure {
    let Place { url, named, .. } = place;
    // Part of it may have gone by for a token: nobody wants to read 9.999998627s.
    let timeout = Duration::from_millis(timeout.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX));
    let text = match phase {
        Phase::Resolving => format!(
            "the host of {url} was not resolved within {timeout:?}: name servers do not answer; look at DNS \
             (in a pod: /etc/resolv.conf), or use an address in {named}"
        ),
        Phase::Connecting => format!(
            "no connection to {url} within {timeout:?}: the host is down, a firewall or network policy swallows packets, \
             or a proxy (HTTP_PROXY, HTTPS_PROXY) does not answer; check {named}"
        ),
        Phase::Unknown => format!(
            "no answer from {url} within {timeout:?}: nobody is there, packets are swallowed on the way, or it hangs; check {named}"
        ),
        Phase::Sending => format!(
            "{url} accepted the connection but did not read the request within {timeout:?}: the store hangs or the network is \
             slow; smaller requests (LOGCHUTE_BATCH_BYTES) or more time (LOGCHUTE_TIMEOUT) help with the latter"
        ),
        Phase::Waiting => format!(
            "{url} was sent the request but did not answer within {timeout:?}: the store hangs or is overloaded, or that is \
             no port for HTTP; check {named}, and if the store is only slow, raise LOGCHUTE_TIMEOUT"
        ),
        Phase::Reading(status) => format!(
            "{url} began to answer with status {status} but did not finish within {timeout:?}: the store or a proxy \
             before it hangs; if it is only slow, raise LOGCHUTE_TIMEOUT"
        ),
    };
    let kind = match phase {
        Phase::Resolving => FailureKind::Resolve,
        Phase::Connecting => FailureKind::Connect,
        Phase::Unknown | Phase::Sending | Phase::Waiting | Phase::Reading(_) => FailureKind::Timeout,
    };
    Failure { kind, text }
}

/// The HTTP client gave up.
pub(super) fn of(error: &reqwest::Error, place: Place<'_>) -> Failure {
    let Place { url, named, .. } = place;
    // The first link of the chain is the client's own summary, which quotes the URL as a whole.
    let chain: Vec<_> = causes(error).skip(1).collect();
    let last = chain.last().map_or_else(|| "no cause given".to_owned(), |cause| plain(&cause.to_string()));
    let failure = |kind, text| Failure { kind, text };

    if let Some(cause) = chain.iter().find_map(|cause| cause.downcast_ref::<Unresolved>()) {
        let host = plain(&cause.host);
        let text = if host == place.host {
            format!("the host of {url} cannot be resolved ({last}); check the name in {named}, and DNS")
        } else {
            format!(
                "the proxy before {url}, {host}, cannot be resolved ({last}); check HTTP_PROXY and HTTPS_PROXY, or name the \
                 store's host in NO_PROXY"
            )
        };
        return failure(FailureKind::Resolve, text);
    }
    #[cfg(feature = "tls")]
    if let Some(cause) = chain.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return failure(FailureKind::Tls, tls(cause, place));
    }
    let said = |what: &str| chain.iter().any(|cause| cause.to_string().starts_with(what));
    let kind = chain.iter().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind).next_back();
    if said("tunnel error") {
        let text =
            format!("the proxy refused the way to {url} ({last}); check HTTPS_PROXY, or name the host in NO_PROXY");
        return failure(FailureKind::Connect, text);
    }
    if error.is_connect() && place.https && !said("tcp ") && kind.is_some_and(broke_off) {
        let text = format!(
            "{url} closed the connection during the TLS handshake ({last}); is that a TLS port? If it speaks plain http, \
             {named} must begin with http://; if it wants a client certificate, set LOGCHUTE_CERT and LOGCHUTE_KEY"
        );
        return failure(FailureKind::Tls, text);
    }
    match kind {
        Some(io::ErrorKind::ConnectionRefused) => failure(
            FailureKind::Connect,
            format!(
                "nobody listens at {url}, or at the proxy before it ({last}); is the store up, and are host and port in \
                 {named} right?"
            ),
        ),
        Some(io::ErrorKind::TimedOut) => failure(
            FailureKind::Timeout,
            format!("the connection to {url} timed out ({last}): the host is down, or packets are lost on the way"),
        ),
        Some(kind) if broke_off(kind) && !error.is_connect() => failure(
            FailureKind::Reset,
            format!(
                "{url} broke off the connection ({last}): the store or a proxy before it restarted or crashed, or that is no \
                 port for HTTP; if it happens each time, check {named}"
            ),
        ),
        _ if error.is_connect() => failure(
            FailureKind::Connect,
            format!("no connection to {url} ({last}); check {named}, network and proxy settings"),
        ),
        // The HTTP library has no type for these that could be named here; a test keeps the words.
        _ if said("connection closed before message completed") || said("operation was canceled") => failure(
            FailureKind::Reset,
            format!(
                "{url} closed the connection before it answered ({last}): the store or a proxy before it restarted, or \
                 that is no port for HTTP; if it happens each time, check {named}"
            ),
        ),
        _ if said("message head is too large") => failure(
            FailureKind::Other,
            format!("{url} answered with more headers than are read (100); is {named} that of a log store?"),
        ),
        _ if said("invalid ") || said("unexpected ") || said("received unexpected message") => failure(
            FailureKind::Other,
            format!(
                "{url} did not answer in HTTP/1.1 ({last}); is that the port of a log store? If it speaks TLS, {named} \
                 must begin with https://"
            ),
        ),
        _ => failure(FailureKind::Other, format!("the request to {url} failed ({last})")),
    }
}

/// The store left, as the system tells it.
pub(super) fn broke_off(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::NotConnected
    )
}

#[cfg(feature = "tls")]
pub(super) fn tls(cause: &rustls::Error, Place { url, named, .. }: Place<'_>) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
    let why = plain(&cause.to_string());
    match cause {
        Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => format!(
            "the certificate of {url} is signed by no CA that is trusted here ({why}); set LOGCHUTE_CA to the PEM file of \
             the CA that signed it"
        ),
        Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => format!(
            "the certificate of {url} has expired ({why}); renew it at the store, or set this machine's clock right"
        ),
        Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. }) => {
            format!("the certificate of {url} is not valid yet ({why}); is this machine's clock right?")
        }
        Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => format!(
            "the certificate of {url} is made for another host ({why}); use in {named} a name that it carries, or \
             add this one to the certificate"
        ),
        Error::InvalidCertificate(_) if why.contains("CaUsedAsEndEntity") => format!(
            "the certificate of {url} is one of a CA, which cannot serve a host itself ({why}); make one that says \
             basicConstraints=CA:FALSE, and set LOGCHUTE_CA to what signed it"
        ),
        Error::InvalidCertificate(_) => {
            format!("the certificate of {url} is refused ({why}); see LOGCHUTE_CA and the store's certificate")
        }
        Error::InvalidMessage(_) => format!(
            "{url} does not speak TLS at this port ({why}); check the port, or begin {named} with http:// if that is \
             meant"
        ),
        Error::AlertReceived(Alert::ProtocolVersion) | Error::PeerIncompatible(_) => {
            format!("{url} and we share no version of TLS ({why}); TLS 1.2 or 1.3 is needed at the store")
        }
        Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::HandshakeFailure,
        ) => format!(
            "{url} refused our client certificate or wants one ({why}); set LOGCHUTE_CERT and LOGCHUTE_KEY to one that \
             the store accepts"
        ),
        _ => format!("the TLS handshake with {url} failed ({why}); see {named} and LOGCHUTE_CA"),
    }
}

/// All causes. An `io::Error` that wraps another error hides it from `source()`, which skips to that one's source.
pub(super) fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |cause| {
        let cause: &'a (dyn StdError + 'static) = *cause;
        match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        }
    })
    // A chain that leads back to itself must not hold up the worker.
    .take(32)
}

/// One line, short, without control characters: part of it was written by the other end.
pub(super) fn plain(text: &str) -> String {
    text.chars().take(300).flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_which_a_little_has_gone_by_is_told_as_it_was_set() {
        let place = Place { url: "http://store/in", host: "store", https: false, named: "LOGCHUTE_URL" };
        let told = |left| late(place, Phase::Waiting, left).text;
        assert!(told(Duration::from_nanos(9_999_998_627)).contains("within 10s:"));
        assert!(told(Duration::from_micros(6_500_400)).contains("within 6.501s:"));
        assert!(told(Duration::MAX).contains("did not answer"));
    }
}
