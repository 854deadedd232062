//! An attribute of a long name, which stands in every record. It would drop them all.

use std::time::Duration;

use logchute::backend::Encoding;
use logchute::{Builder, Compression, Record, Severity};

use super::VictoriaLogs;
use super::bulk::ByBulk;
use super::datadog::ByDatadog;
use super::loki::ByLoki;
use super::ndjson::ByNdjson;
#[cfg(feature = "otlp")]
use super::otlp::ByOtlp;
use super::splunk::BySplunk;
use crate::there_and_back::{service, until};
use crate::way::Way;

#[test]
#[ignore = "needs VictoriaLogs: tests/servers/victorialogs.sh"]
fn no_attribute_makes_it_drop_a_record_by_any_way() {
    let store = VictoriaLogs::from_env;
    let ways: Vec<Box<dyn Way>> = vec![
        Box::new(ByBulk(store())),
        Box::new(ByDatadog { store: store(), compression: Compression::None }),
        Box::new(ByLoki { store: store(), encoding: Encoding::Json }),
        Box::new(ByLoki { store: store(), encoding: Encoding::Protobuf }),
        Box::new(ByNdjson(store())),
        #[cfg(feature = "otlp")]
        Box::new(ByOtlp(store())),
        Box::new(BySplunk { store: store(), compression: Compression::None }),
    ];
    for way in ways {
        for key in ["k".repeat(121), format!("a.{}", "k".repeat(119)), "é".repeat(100), "k".repeat(300)] {
            let service = service();
            let logs =
                Builder::new().send_to(way.destination()).service(&service).label(key, "theirs").start().unwrap();
            logs.emit(Record::new(Severity::Info, "hello"));
            assert!(logs.shutdown(Duration::from_secs(10)).settled());
            let back = until(|| Some(way.read(&service)).filter(|back| !back.is_empty()));
            assert!(back.len() == 1 && back[0].to_string().contains("theirs"), "{back:?}");
        }
    }
}
