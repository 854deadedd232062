#![no_main]
logchute_fuzz::judges!(
    logchute::backend::Splunk::new("http://store"),
    logchute::backend::Splunk::new("http://store").ack(),
);
