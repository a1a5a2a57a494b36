//! Metrics over maps that change from scrape to scrape, with the standard plugin and with ones that
//! misbehave.

mod baseline;
mod bench;
mod bounds;
mod departed;
mod labels;
mod lifetimes;
mod model;
mod numbers;
mod random;
mod scaled;
mod trouble;
mod undecoded;
