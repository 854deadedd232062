#![no_main]
logchute_fuzz::judges!(logchute::backend::Datadog::site("datadoghq.com"));
