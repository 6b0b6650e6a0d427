//! What the sandbox's request log says was asked for.

use parser::sandbox::{LoggedRequest, RequestLog, Service};

/// What was asked of a service.
pub(crate) fn asked(log: &RequestLog, service: Service) -> Vec<LoggedRequest> {
    log.entries().into_iter().filter(|request| request.service == service).collect()
}

/// The pages of the list that were asked for, by their cursors.
pub(crate) fn pages(requests: &[LoggedRequest]) -> Vec<Option<String>> {
    let lists = requests.iter().filter(|request| request.path == "/list");
    lists.map(|request| parameter(&request.query, "next").map(str::to_owned)).collect()
}

/// The titles whose metadata was asked for, request by request.
pub(crate) fn batches(requests: &[LoggedRequest]) -> Vec<Vec<u64>> {
    let queries = requests.iter().filter(|request| request.path.ends_with("/graphql"));
    queries.map(|request| ids(parameter(&request.query, "ids").unwrap_or_default())).collect()
}

/// The titles that were searched for.
pub(crate) fn searches(requests: &[LoggedRequest]) -> Vec<u64> {
    let searches = requests.iter().filter(|request| request.path == "/search");
    searches.flat_map(|request| ids(parameter(&request.query, "shikimori_id").unwrap_or_default())).collect()
}

fn ids(text: &str) -> Vec<u64> {
    text.split(',').filter_map(|id| id.parse().ok()).collect()
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}
