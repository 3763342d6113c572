//! Every wrong scenario under `tests/bad-input/scenarios` is refused with exactly the messages that are stored beside it.
//!
//! `UPDATE_GOLDEN=1 cargo test -p firedrill-scenarios --test promises bad_input` writes them anew; read the difference before it is committed.

use std::fs;
use std::path::{Path, PathBuf};

use firedrill_scenarios::read_scenario;

#[test]
fn every_wrong_scenario_gets_the_message_stored_beside_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut paths: Vec<PathBuf> =
        fs::read_dir(root.join("tests/bad-input/scenarios")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    assert!(paths.len() >= 18, "the folder holds {} wrong files", paths.len());
    let wrong: Vec<String> = paths.iter().filter_map(|path| check(root, path).err()).collect();
    assert!(wrong.is_empty(), "{}\nUPDATE_GOLDEN=1 cargo test -p firedrill-scenarios --test promises bad_input", wrong.join("\n"));
}

fn check(root: &Path, path: &Path) -> Result<(), String> {
    let shown = path.strip_prefix(root).unwrap().display().to_string();
    let text = fs::read_to_string(path).unwrap();
    let problems = match read_scenario(&shown, &text) {
        Ok(_) => return Err(format!("{shown} was accepted")),
        Err(problems) => problems,
    };
    let got = problems.iter().map(|problem| problem.render(false) + "\n").collect::<Vec<_>>().join("\n");
    let golden = path.with_extension("stderr");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &got).unwrap();
    }
    match fs::read_to_string(&golden) {
        Ok(want) if want == got => Ok(()),
        Ok(want) => Err(format!("{shown}: expected\n{want}\ngot\n{got}")),
        Err(_) => Err(format!("{shown} has no stored message; got\n{got}")),
    }
}
