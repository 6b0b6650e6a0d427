//! Search by name.

use std::process::Stdio;

use serde_json::json;

use crate::visitor::Visitor;
use crate::world::{ANIME, Served, TOKEN, command};

fn titles(visitor: &Visitor, question: &str) -> Vec<String> {
    let question: String = url::form_urlencoded::byte_serialize(question.as_bytes()).collect();
    let page = visitor.page(&format!("/catalogue?q={question}"));
    let rows = page.split("<th scope=\"row\"><a href=\"/catalogue/").skip(1);
    rows.map(|row| row.split_once("\">").unwrap().1.split('<').next().unwrap().to_owned()).collect()
}

fn library(served: &Served) {
    for (id, title, others) in [
        ("5114", "Hagane no Renkinjutsushi", json!(["Стальной алхимик: Братство", "鋼の錬金術師"])),
        ("2", "Ёжик в тумане", json!(["Hedgehog in the Fog"])),
        ("3", "Steins;Gate", json!([])),
        ("4", "100% Pascal", json!(["C:\\under_score"])),
        ("5", "Gate", json!([])),
        ("6", "!!!", json!([])),
    ] {
        let body = json!({ "source_name": "s", "source_id": id, "title": title, "alternative_titles": others });
        served.import(ANIME, &body);
    }
}

fn answers(visitor: &Visitor) {
    let found = |question| titles(visitor, question);
    assert_eq!(found("СТАЛЬНОЙ братство"), ["Hagane no Renkinjutsushi"], "any case, any order");
    assert_eq!(found("ежик"), ["Ёжик в тумане"]);
    assert_eq!(found("ЁЖИК"), ["Ёжик в тумане"]);
    assert_eq!(found("錬金"), ["Hagane no Renkinjutsushi"]);
    assert_eq!(found("gate"), ["Gate", "Steins;Gate"], "names that begin with it first");
    assert_eq!(found("steins gate"), ["Steins;Gate"]);
    assert_eq!(found("hedgehog fog"), ["Ёжик в тумане"]);
    assert_eq!(found("5114"), ["Hagane no Renkinjutsushi"], "the source's id");
    assert_eq!(found("ezhik-v-tumane"), ["Ёжик в тумане"], "the slug");
    assert_eq!(found("100%"), ["100% Pascal"]);
    assert_eq!(found("under_score"), ["100% Pascal"]);
    assert_eq!(found("!!!"), ["!!!"]);
    for nothing in ["нет такого", "%", "_", "\\", "' OR 'x'='x", "gate missing", "\u{fffd}"] {
        assert_eq!(found(nothing), [""; 0], "{nothing:?}");
    }
    assert_eq!(found("").len(), 6);
    assert_eq!(found(" \0\u{7f} ").len(), 6, "nothing that can be seen");
    assert_eq!(found(&"gate ".repeat(500)), ["Gate", "Steins;Gate"], "more words than are looked at");
}

#[test]
fn a_title_is_found_by_any_of_its_names() {
    let served = Served::new();
    library(&served);
    let visitor = Visitor::new(&served);
    answers(&visitor);
    served.import(ANIME, &json!({ "source_name": "s", "source_id": "5", "title": "Врата" }));
    assert_eq!(titles(&visitor, "врата"), ["Врата"], "a new name is found");
    served.execute("UPDATE series SET is_active = 0 WHERE title = 'Врата'");
    assert_eq!(titles(&visitor, "врата"), ["Врата"], "what is switched off as well");
}

#[test]
fn rows_that_are_older_than_the_search_are_found_after_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Served::start(folder.path(), &[("INTERNAL_TOKEN", TOKEN)]);
    library(&first);
    first.execute("UPDATE series SET search_text = NULL");
    assert_eq!(titles(&Visitor::new(&first), "錬金"), [""; 0]);
    first.stop();
    for point in ["catalogue.search.before_commit", "catalogue.search.after_commit"] {
        let args = ["serve", "--listen", "127.0.0.1:0"];
        let env = [("INTERNAL_TOKEN", TOKEN), ("PARSER_CRASH_AT", &format!("{point}=1"))];
        let killed = command(folder.path(), &args, &env).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert_eq!(killed.unwrap().code(), None, "{point}");
    }
    let second = Served::start(folder.path(), &[("INTERNAL_TOKEN", TOKEN)]);
    answers(&Visitor::new(&second));
}

#[test]
fn the_same_is_found_on_postgres() {
    let Some(database) = crate::cluster::database() else { return };
    let served = Served::with(&[("DATABASE_URL", &database.url)]);
    library(&served);
    answers(&Visitor::new(&served));
    drop(served);
    crate::cluster::sql(&database.url, "UPDATE series SET search_text = NULL");
    let second = Served::with(&[("DATABASE_URL", &database.url)]);
    answers(&Visitor::new(&second));
}
