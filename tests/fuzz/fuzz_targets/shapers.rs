#![cfg_attr(fuzzing, no_main)]
exporter_host_fuzz::target!(shapers);
