//! An orderly restart while records flow. All ways are at least once here: what was stored before the connection broke,
//! and not acked any more, is stored again.

use logchute::Compression;
use logchute::backend::Encoding;

use super::VictoriaLogs;
use super::bulk::ByBulk;
use super::datadog::ByDatadog;
use super::loki::ByLoki;
use super::ndjson::ByNdjson;
#[cfg(feature = "otlp")]
use super::otlp::ByOtlp;
use super::splunk::BySplunk;
use crate::flood::flood;
use crate::server::{Server, Signal};
use crate::way::Way;

fn a_restart_loses_nothing<W: Way>(way: impl FnOnce(VictoriaLogs) -> W) {
    let mut server = Server::start("victorialogs");
    let way = way(VictoriaLogs::at(server.variable("URL")));
    let outcome = flood(&way, || {
        server.end(Signal::Term);
        server.start_again();
    });
    assert_eq!((outcome.lost, outcome.foreign), (0, 0), "{outcome}");
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn a_restart_in_mid_flood_loses_nothing_by_loki() {
    a_restart_loses_nothing(|store| ByLoki { store, encoding: Encoding::Protobuf });
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn a_restart_in_mid_flood_loses_nothing_by_ndjson() {
    a_restart_loses_nothing(ByNdjson);
}

#[cfg(feature = "otlp")]
#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn a_restart_in_mid_flood_loses_nothing_by_otlp() {
    a_restart_loses_nothing(ByOtlp);
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn a_restart_in_mid_flood_loses_nothing_by_splunk() {
    a_restart_loses_nothing(|store| BySplunk { store, compression: Compression::None });
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn a_restart_in_mid_flood_loses_nothing_by_datadog() {
    a_restart_loses_nothing(|store| ByDatadog { store, compression: Compression::Gzip });
}

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn a_restart_in_mid_flood_loses_nothing_by_bulk() {
    a_restart_loses_nothing(ByBulk);
}
