//! The command line of `parser import`. Doc comments are the help.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::bulk::inputs::Endings;

pub(in crate::cli) const HELP: &str = "\
What files hold (--kind auto tells by name and content):
  series.jsonl, releases.jsonl,    records of the catalogue, one a line, as the imports API takes them
  characters.jsonl, pets.jsonl
  NAME.jsonl                       rows of the table NAME, which is made and widened as the records need it
  NAME.csv                         nodes (with --domain)
  Each may be packed with gzip or zstd, whatever its name says.

Tables: a record is a row and a field a column; what a record lacks is NULL. Rows are told apart by `_key`, `id` or --key, else by
  their whole line; the same file again changes nothing, and of equal keys the last record stays. Columns are
  INTEGER, REAL, TEXT or BOOLEAN and become wider: integer, real, text. Nested values stay whole as JSON text. Numbers
  that 64 bits do not hold stay as they are written, as text. Lines end with \\n or \\r\\n, and nowhere else.

Exit codes:
  0    every row is in
  1    finished, some rows were rejected
  2    usage, settings, or a file or table that does not fit what was asked for
  3    a file could not be read; `--resume` goes on
  4    the store refused or is down; `--resume` goes on
  130  stopped by SIGINT; `--resume` goes on   (143: by SIGTERM)";

/// `parser import`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of a command line")]
pub struct ImportArgs {
    /// Files, folders, globs in quotes, `-` for standard input, `s3://bucket/key`, `s3://bucket/prefix/`, `http(s)://host/path`.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,

    /// What the files hold.
    #[arg(long, value_enum, default_value_t = KindArg::Auto)]
    pub kind: KindArg,

    /// `sqlite:PATH`, `postgres://…`, or `env:NAME` of a variable that holds it. Default: the database of the settings.
    #[arg(long, value_name = "DATABASE")]
    pub into: Option<String>,

    /// Nodes: batches on their way at once (default 8). Tables: threads that parse (default: cores).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub workers: Option<u8>,

    /// What a row that cannot be stored does: it is left out, or it ends the import of its file.
    #[arg(long, value_enum, default_value_t = OnErrorArg::Skip)]
    pub on_error: OnErrorArg,

    /// End the import of a file after more rejected rows than this.
    #[arg(long, value_name = "N")]
    pub max_errors: Option<u64>,

    /// Write rejected rows here, as they are in the file, with their reasons beside them. The folder is made when it is
    /// needed.
    #[arg(long, value_name = "DIR", default_value = "rejects")]
    pub rejects: PathBuf,

    /// Write rejected rows nowhere. They are in the store.
    #[arg(long, conflicts_with = "rejects")]
    pub no_rejects: bool,

    /// Keep the files. This is the default.
    #[arg(long, conflicts_with = "delete_after")]
    pub keep: bool,

    /// Delete each file (of this machine or of S3) once its last row is in. One that cannot be deleted, or that has changed
    /// meanwhile, is a warning and changes nothing about the exit code.
    #[arg(long)]
    pub delete_after: bool,

    /// Go on with the unfinished imports of these files, leaving out what is in.
    #[arg(long)]
    pub resume: bool,

    /// Read and check everything, write nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Print the summary as JSON.
    #[arg(long)]
    pub json: bool,

    /// Rows of one transaction: of nodes `IMPORT_BULK_ROWS` unless told otherwise, of tables with `--atomic batch` 50000.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub batch_size: Option<u32>,

    /// The table for all of the files. Default: the file's name without its ending.
    #[arg(long, value_name = "NAME", help_heading = "Tables")]
    pub table: Option<String>,

    /// The field that tells rows apart. Default: `_key`, `id`, or the whole line.
    #[arg(long, value_name = "FIELD", help_heading = "Tables")]
    pub key: Option<String>,

    /// May a table be made or widened, or are records rejected that do not fit?
    #[arg(long, value_enum, default_value_t = SchemaArg::Evolve, help_heading = "Tables")]
    pub schema: SchemaArg,

    /// What is in wholly or not at all: each file, or batches of at least `--batch-size` rows.
    #[arg(long, value_enum, default_value_t = AtomicArg::File, help_heading = "Tables")]
    pub atomic: AtomicArg,

    /// Whose nodes they are.
    #[arg(long, value_name = "ID", help_heading = "Nodes")]
    pub domain: Option<String>,

    /// The group of all rows; without it each row names its own.
    #[arg(long, value_name = "ID", help_heading = "Nodes")]
    pub group: Option<String>,

    /// The files are lists of reference ids, one a line, without a header (with `--group`).
    #[arg(long, requires = "group", help_heading = "Nodes")]
    pub refs: bool,
}

impl ImportArgs {
    /// Where rejected rows are written.
    pub(super) fn rejects_folder(&self) -> Option<&Path> {
        (!self.no_rejects).then_some(&self.rejects)
    }

    /// Rejected rows that are put up with.
    pub(super) fn most_errors(&self) -> Option<u64> {
        if self.on_error == OnErrorArg::Stop { Some(0) } else { self.max_errors }
    }

    /// Which files of a folder are meant.
    pub(super) fn endings(&self) -> Endings {
        match self.kind {
            KindArg::Auto => Endings::ALL,
            KindArg::Nodes => Endings::CSV,
            KindArg::Catalogue | KindArg::Table => Endings::JSONL,
        }
    }
}

/// What files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KindArg {
    /// What each file's name and content say.
    Auto,
    /// Nodes: a reference id, a group, a type, and metadata.
    Nodes,
    /// Records of the catalogue: JSON lines.
    Catalogue,
    /// Rows of a table: JSON lines.
    Table,
}

/// What a bad row does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnErrorArg {
    /// It is left out.
    Skip,
    /// It ends the import of its file; what is in stays in.
    Stop,
}

/// What may become of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaArg {
    /// It is made, gets columns, and its columns get wider types.
    Evolve,
    /// It is there and stays as it is; records that do not fit are rejected.
    Freeze,
}

/// What is in wholly or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AtomicArg {
    /// Each file.
    File,
    /// Each batch of it.
    Batch,
}
