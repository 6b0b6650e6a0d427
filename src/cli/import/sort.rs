//! Which files there are, and what each holds.

use crate::bulk::inputs::{self, Given, InputError, Source};
use crate::bulk::registry::{self, Kind};
use crate::cli::exit::Exit;
use crate::cli::{complain_text, messages};
use crate::error::{Fault as _, chain};
use crate::observe::Redactor;
use crate::store::objects::{ObjectError, ObjectUrl, Sources, unpacked};

use super::args::{ImportArgs, KindArg};
use super::tables::TableFile;

/// Files by what they hold.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub(super) nodes: Vec<ObjectUrl>,
    pub(super) tables: Vec<TableFile>,
    pub(super) catalogue: Vec<Source>,
}

/// Why nothing is begun.
#[derive(Debug)]
pub(super) enum Refused {
    Input(InputError),
    Object(ObjectError),
    Usage { text: String, hint: &'static str },
}

impl From<InputError> for Refused {
    fn from(error: InputError) -> Self {
        Self::Input(error)
    }
}

impl From<ObjectError> for Refused {
    fn from(error: ObjectError) -> Self {
        Self::Object(error)
    }
}

impl Refused {
    pub(super) fn complain(&self, redactor: &Redactor) -> Exit {
        match self {
            Self::Input(error) => {
                complain_text(&error.to_string(), Some(error.hint()), redactor);
                Exit::Usage
            }
            Self::Object(error) => {
                complain_text(&chain(error), error.hint().as_deref(), redactor);
                Exit::of(error.party())
            }
            Self::Usage { text, hint } => {
                messages::error(text, Some(hint));
                Exit::Usage
            }
        }
    }
}

/// Finds the files and sorts them.
pub(super) async fn sort(args: &ImportArgs, sources: &Sources) -> Result<Sorted, Refused> {
    let endings = args.endings();
    let mut found = Vec::new();
    for path in &args.paths {
        match inputs::given(path, endings)? {
            Given::Sources(some) => found.extend(some),
            Given::Listing(listing) => {
                let listed = sources.list(&listing.prefix).await?;
                found.extend(listing.choose(listed, endings)?);
            }
        }
    }
    let mut sorted = Sorted::default();
    for source in inputs::once(found) {
        match kind(args, sources, &source).await? {
            Kind::Nodes => match source {
                Source::Object(url) => sorted.nodes.push(url),
                Source::Stdin => {
                    return Err(usage("nodes do not come by standard input", "write them to a file first"));
                }
            },
            Kind::Catalogue => sorted.catalogue.push(source),
            Kind::Table => {
                let table = match &args.table {
                    Some(table) => registry::table_named(table).filter(|name| name == table),
                    None => registry::table_of(&source),
                };
                let Some(table) = table else {
                    let hint = "`--table NAME` of letters, digits and `_`, at most 63 bytes";
                    return Err(usage(&format!("`{source}` names no table"), hint));
                };
                sorted.tables.push(TableFile { source, table });
            }
        }
    }
    if !sorted.nodes.is_empty() && args.domain.is_none() {
        let hint = "name whose nodes they are by `--domain ID`, or what the file holds by `--kind`";
        return Err(usage(&format!("`{}` holds nodes", sorted.nodes[0]), hint));
    }
    Ok(sorted)
}

fn usage(text: &str, hint: &'static str) -> Refused {
    Refused::Usage { text: text.to_owned(), hint }
}

async fn kind(args: &ImportArgs, sources: &Sources, source: &Source) -> Result<Kind, Refused> {
    Ok(match args.kind {
        KindArg::Nodes => Kind::Nodes,
        KindArg::Catalogue => Kind::Catalogue,
        KindArg::Table => Kind::Table,
        // A table was named: lines go there, whatever the file is called.
        KindArg::Auto if args.table.is_some() => Kind::Table,
        KindArg::Auto => match (registry::kind_by_name(source.name()), source) {
            (Some(kind), _) => kind,
            (None, Source::Stdin) => {
                return Err(usage(
                    "standard input has no name to tell what it holds",
                    "`--table NAME` or `--kind catalogue`",
                ));
            }
            (None, Source::Object(url)) => registry::kind_by_content(url.name(), &start(sources, url).await?),
        },
    })
}

/// The first bytes of an object, unpacked.
async fn start(sources: &Sources, url: &ObjectUrl) -> Result<Vec<u8>, ObjectError> {
    use futures::StreamExt as _;
    let object = sources.open(url, 0, None).await?;
    let mut bytes = unpacked(url.clone(), object.into_stream().boxed());
    let mut start: Vec<u8> = Vec::new();
    while start.len() < 4096
        && let Some(piece) = bytes.next().await
    {
        start.extend(piece?.iter().take(4096));
        if start.iter().any(|byte| !byte.is_ascii_whitespace() && *byte < 0x80) {
            break;
        }
    }
    Ok(start)
}
