//! Metrics over maps that change from scrape to scrape, with the standard plugin and with ones that
//! misbehave.

mod baseline;
mod bench;
mod bounds;
mod labels;
mod lifetimes;
mod numbers;
mod random;
mod trouble;
