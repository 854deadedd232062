#![no_main]
logchute_fuzz::judges!(
    logchute::backend::Splunk::new("https://store:8088"),
    logchute::backend::Splunk::new("https://store:8088").ack(),
);
