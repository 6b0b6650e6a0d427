//! `--delete-after`: files that are in to the last row are taken away, if they still are what was imported.

use std::collections::HashMap;

use super::report::Line;
use super::sort::Sorted;
use super::{Context, messages};
use crate::bulk::inputs::Source;
use crate::error::{Fault as _, chain};
use crate::model::ImportStatus;
use crate::store::imports::object_tag;
use crate::store::objects::ObjectUrl;

/// The files of an import by what reports call them.
pub(super) type Files = HashMap<String, Source>;

/// All files.
pub(super) fn files(sorted: &Sorted) -> Files {
    let nodes = sorted.nodes.iter().cloned().map(Source::Object);
    let others = sorted.tables.iter().map(|file| &file.source).chain(&sorted.catalogue).cloned();
    nodes.chain(others).map(|source| (source.to_string(), source)).collect()
}

/// Takes away what is completely in. What cannot be is a warning.
pub(super) async fn completed(context: &Context<'_>, files: &Files, lines: &[Line]) {
    for line in lines {
        let done = matches!(line.end, Ok((ImportStatus::Completed, ..)));
        let Some(Source::Object(url)) = files.get(&line.file).filter(|_| done) else { continue };
        if let Err((text, hint)) = delete(context, line.import.as_deref(), url).await {
            let text = format!("`{url}` is in and was not deleted: {text}");
            messages::warning(&context.redactor.redact(&text), hint.as_deref());
        }
    }
}

async fn delete(context: &Context<'_>, import: Option<&str>, url: &ObjectUrl) -> Result<(), (String, Option<String>)> {
    let address = Source::Object(url.clone()).address();
    let import = import.unwrap_or_default().to_owned();
    let store = context.imports.store();
    let tag = store.read(move |session| object_tag(session, &import, &address)).await;
    match tag {
        Ok(Some(tag)) => context.sources.delete(url, &tag).await.map_err(|error| {
            let hint = error.hint().map(std::borrow::Cow::into_owned);
            (chain(&error), hint)
        }),
        Ok(None) => Err(("nobody can say whether it still is what was imported".to_owned(), None)),
        Err(error) => Err((chain(&error), None)),
    }
}
