//! Query parameters.

use axum::extract::Query;
use axum::http::Uri;

use super::exporter::Filter;

pub(super) type Pairs = Vec<(String, String)>;

/// All pairs in their order. `Err`: what is wrong, for whoever asked.
pub(super) fn parse(query: Option<&str>) -> Result<Pairs, String> {
    let Some(query) = query else {
        return Ok(Vec::new());
    };
    let uri = Uri::builder().path_and_query(format!("/?{query}")).build();
    let pairs = uri
        .ok()
        .and_then(|uri| Query::<Pairs>::try_from_uri(&uri).ok());
    pairs
        .map(|Query(pairs)| pairs)
        .ok_or_else(|| "The query cannot be read: expected name=value&name=value\n".to_owned())
}

/// Other parameters are nobody's, and pass.
pub(super) fn filter(pairs: Pairs) -> Filter {
    let mut filter = Filter::default();
    for (name, value) in pairs {
        match name.as_str() {
            "collect[]" => filter.collect.push(value),
            "exclude[]" => filter.exclude.push(value),
            _ => {}
        }
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_others_pass() {
        let pairs = parse(Some("collect[]=a%2Fb&x=1&collect%5B%5D=c+d&exclude[]="));
        let filter = filter(pairs.unwrap());
        assert_eq!(filter.collect, ["a/b", "c d"]);
        assert_eq!(filter.exclude, [""]);
        assert_eq!(parse(None), Ok(Vec::new()));
    }
}
