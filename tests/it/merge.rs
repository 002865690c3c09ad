//! Undoing migrations after training.

use std::fs;

use serde_json::Value;

use crate::support::{Home, Ran};
use crate::train::Checkpoint;

/// A catalogue of one migration for each body, with versions 1.0.0, 2.0.0, ...
pub fn catalogue(home: &Home, bodies: &[&str]) {
    let folder = home.path("migrations");
    fs::create_dir_all(&folder).unwrap();
    for (place, body) in bodies.iter().enumerate() {
        let number = place + 1;
        let head = format!(
            "import torch\nfrom anemoi.models.migrations import MigrationMetadata\n\n\
             metadata = MigrationMetadata(versions={{\"migration\": \"1.0.0\", \"anemoi-models\": \"{number}.0.0\"}})\n\n\n"
        );
        fs::write(folder.join(format!("170000000{number}_m{number}.py")), format!("{head}{body}")).unwrap();
    }
}

/// One that was migrated by the body, then trained by `train`, imported, and is to be brought back.
struct Trained {
    home: Home,
}

impl Trained {
    fn new(bodies: &[&str], begin: &Checkpoint, train: impl FnOnce(&mut Checkpoint)) -> Trained {
        let home = Home::new();
        catalogue(&home, bodies);
        begin.save(&home.path("a.ckpt"));
        home.run(["import", "a.ckpt"]).ok();
        home.run(["checkout", "--version", &format!("{}.0.0", bodies.len())]).ok();
        let mut trained = Checkpoint::load(&home.path("a.ckpt"));
        train(&mut trained);
        trained.save(&home.path("a.ckpt"));
        home.run(["import"]).ok();
        Trained { home }
    }

    /// Brings it to before all migrations by merging.
    #[track_caller]
    fn back(&self) -> Checkpoint {
        let plan = self.home.json(["plan", "--version", "0.0.1"]);
        for operation in plan["operations"].as_array().unwrap() {
            assert_eq!(operation["method"], "merge", "{plan}");
        }
        self.home.run(["checkout", "--version", "0.0.1"]).ok();
        assert_eq!(self.home.findings(false), [""; 0]);
        Checkpoint::load(&self.home.path("a.ckpt"))
    }

    /// Tries to, and returns why it is refused; everything must be as before.
    #[track_caller]
    fn refused(&self) -> String {
        let before = fs::read(self.home.path("a.ckpt")).unwrap();
        let plan = self.home.run(["plan", "--version", "0.0.1", "--json"]);
        assert_eq!(plan.code, Some(4), "{plan:?}");
        let ran: Ran = self.home.run(["checkout", "--version", "0.0.1", "--json"]);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert_eq!(fs::read(self.home.path("a.ckpt")).unwrap(), before);
        let error: Value = ran.json()["error"].clone();
        assert_eq!(error["code"], "E_IRREVERSIBLE");
        error["message"].as_str().unwrap().to_owned()
    }
}

fn ramp(count: usize, start: f32) -> Vec<f32> {
    (0..count).map(|i| start + i as f32).collect()
}

pub fn begin() -> Checkpoint {
    let mut out = Checkpoint::new();
    out.set_tensor("state_dict/a.weight", &[2, 3], &ramp(6, 0.0));
    out.set_tensor("state_dict/b.weight", &[6, 2], &ramp(12, 10.0));
    out.set_tensor("state_dict/buffer", &[4], &ramp(4, 30.0));
    out.set_tensor("state_dict/c.weight", &[3], &ramp(3, 40.0));
    out.set_int("config/model/layers", 16);
    out.set_float("config/model/rate", 0.5);
    out.set_text("config/model/kind", "transformer");
    out.set_bool("config/model/dropout", false);
    out.set_int("epoch", 3);
    out
}

fn everything(_: &str) -> bool {
    true
}

/// A checkpoint that was migrated and trained, and what comes back of it.
fn there_and_back(bodies: &[&str], train: impl FnOnce(&mut Checkpoint)) -> (Checkpoint, Checkpoint) {
    let mut now = None;
    let trained = Trained::new(bodies, &begin(), |ckpt| {
        train(ckpt);
        now = Some(ckpt.clone());
    });
    (now.unwrap(), trained.back())
}

pub const RENAME: &str = "\
def migrate(ckpt):
    sd = ckpt['state_dict']
    for key in list(sd):
        sd[key.replace('a.', 'first.').replace('b.', 'second.')] = sd.pop(key)
    return ckpt
";

#[test]
fn renamed_tensors_go_back_with_their_new_values_and_in_their_old_order() {
    let mut now = None;
    let trained = Trained::new(&[RENAME], &begin(), |ckpt| {
        ckpt.train(everything);
        ckpt.set_int("epoch", 9);
        now = Some(ckpt.clone());
    });
    let now = now.unwrap();
    let back = trained.back();
    assert_eq!(back.keys("state_dict"), ["a.weight", "b.weight", "buffer", "c.weight"]);
    assert_eq!(back.values("state_dict/a.weight"), now.values("state_dict/first.weight"));
    assert_eq!(back.values("state_dict/b.weight"), now.values("state_dict/second.weight"));
    assert_eq!(back.values("state_dict/c.weight"), now.values("state_dict/c.weight"));
    assert_eq!(back.int("epoch"), 9);
    assert_eq!(back.graph.elements(back.at("migrations")).count(), 0);

    // And forward again.
    trained.home.run(["checkout", "--version", "1.0.0"]).ok();
    let again = Checkpoint::load(&trained.home.path("a.ckpt"));
    assert_eq!(again.tensors(), now.tensors());
}

#[test]
fn a_dict_that_was_written_anew_is_undone_key_by_key() {
    let body = "\
def migrate(ckpt):
    ckpt['state_dict'] = {'model.' + k: v for k, v in ckpt['state_dict'].items() if k != 'buffer'}
    ckpt['state_dict']['model.new'] = torch.zeros(2)
    return ckpt
";
    let (now, back) = there_and_back(&[body], |ckpt| {
        ckpt.train(everything);
        ckpt.set_tensor("state_dict/extra", &[1], &[7.0]);
    });
    assert_eq!(back.values("state_dict/a.weight"), now.values("state_dict/model.a.weight"));
    assert_eq!(back.values("state_dict/buffer"), ramp(4, 30.0));
    assert_eq!(back.values("state_dict/extra"), [7.0]);
    assert_eq!(back.keys("state_dict"), ["a.weight", "b.weight", "buffer", "c.weight", "extra"]);
}

#[test]
fn dropped_tensors_return_and_added_ones_go() {
    let body = "\
def migrate(ckpt):
    del ckpt['state_dict']['buffer']
    ckpt['state_dict']['scale'] = torch.ones(3)
    ckpt['note'] = 'migrated'
    return ckpt
";
    let trained = Trained::new(&[body], &begin(), |ckpt| ckpt.train(everything));
    let back = trained.back();
    assert_eq!(back.values("state_dict/buffer"), ramp(4, 30.0));
    assert!(!back.has("state_dict/scale") && !back.has("note"));
    assert_eq!(back.keys("state_dict"), ["a.weight", "b.weight", "buffer", "c.weight"]);
}

pub const MOVE: &str = "\
def migrate(ckpt):
    model = ckpt['config']['model']
    ckpt['config']['optimizer'] = {'lr': model.pop('rate'), 'name': 'adam'}
    model['depth'] = model.pop('layers')
    ckpt['config']['regular'] = {'dropout': model.pop('dropout')}
    return ckpt
";

#[test]
fn moved_settings_go_back_with_their_present_values() {
    let trained = Trained::new(&[MOVE], &begin(), |ckpt| {
        ckpt.train(everything);
        ckpt.set_float("config/optimizer/lr", 0.125);
        ckpt.set_int("config/model/depth", 24);
        ckpt.set_bool("config/regular/dropout", true);
        ckpt.set_text("config/model/kind", "graph");
    });
    let back = trained.back();
    assert_eq!(back.float("config/model/rate"), 0.125);
    assert_eq!(back.int("config/model/layers"), 24);
    let dropout = back.graph.kind(back.at("config/model/dropout"));
    assert_eq!(*dropout, ckstore::value::Kind::Bool(true));
    assert_eq!(back.keys("config/model"), ["layers", "rate", "kind", "dropout"]);
    assert_eq!(back.keys("config"), ["model"]);
    assert_eq!(back.graph.as_str(back.at("config/model/kind")), Some("graph"));
}

#[test]
fn a_setting_changed_by_the_migration_and_since_is_refused() {
    let body = "\
def migrate(ckpt):
    ckpt['config']['model']['layers'] = 17
    return ckpt
";
    let set = |value: i64| {
        Trained::new(&[body], &begin(), move |ckpt| {
            ckpt.train(everything);
            ckpt.set_int("config/model/layers", value);
        })
    };
    assert_eq!(set(17).back().int("config/model/layers"), 16);
    let message = set(18).refused();
    assert!(message.contains("`config/model/layers` was set by the migration"), "{message}");
}

#[test]
fn a_truth_value_that_may_have_moved_is_refused_when_it_changed() {
    let body = "\
def migrate(ckpt):
    ckpt['config']['model']['use_dropout'] = ckpt['config']['model'].pop('dropout')
    return ckpt
";
    let same = Trained::new(&[body], &begin(), |ckpt| ckpt.train(everything));
    assert!(same.back().has("config/model/dropout"));
    let changed = Trained::new(&[body], &begin(), |ckpt| ckpt.set_bool("config/model/use_dropout", true));
    let message = changed.refused();
    assert!(message.contains("`config/model/use_dropout`"), "{message}");
    assert!(message.contains("`config/model/dropout`"), "{message}");
}

const SPLIT: &str = "\
def migrate(ckpt):
    sd = ckpt['state_dict']
    q, k, v = sd.pop('b.weight').chunk(3, dim=0)
    sd['b.q'], sd['b.k'], sd['b.v'] = q, k, v
    return ckpt
";

#[test]
fn a_split_tensor_is_joined_from_its_trained_parts() {
    let (now, back) = there_and_back(&[SPLIT], |ckpt| ckpt.train(everything));
    let joined: Vec<f32> =
        ["q", "k", "v"].iter().flat_map(|part| now.values(&format!("state_dict/b.{part}"))).collect();
    assert_eq!(back.values("state_dict/b.weight"), joined);
    assert_eq!(back.shape("state_dict/b.weight"), [6, 2]);
    assert_eq!(back.keys("state_dict"), ["a.weight", "b.weight", "buffer", "c.weight"]);
}

#[test]
fn parts_of_which_one_was_dropped_or_reshaped_are_refused() {
    let gone = Trained::new(&[SPLIT], &begin(), |ckpt| {
        ckpt.train(everything);
        ckpt.remove("state_dict/b.k");
    });
    assert!(gone.refused().contains("state_dict/b.k"));
    let reshaped = Trained::new(&[SPLIT], &begin(), |ckpt| {
        ckpt.train(everything);
        ckpt.set_tensor("state_dict/b.v", &[4], &ramp(4, 0.0));
    });
    assert!(reshaped.refused().contains("`state_dict/b.v` has another shape"));
}

#[test]
fn rearranged_elements_find_their_way_back() {
    let body = "\
def migrate(ckpt):
    sd = ckpt['state_dict']
    sd['a.weight'] = sd['a.weight'].t().contiguous()
    even, odd = sd['b.weight'][0::2], sd['b.weight'][1::2]
    sd['b.weight'] = torch.cat([odd, even], dim=0)
    sd['ac'] = torch.cat([sd.pop('buffer'), sd.pop('c.weight')])
    return ckpt
";
    let (now, back) = there_and_back(&[body], |ckpt| ckpt.train(everything));
    let a = now.values("state_dict/a.weight");
    assert_eq!(now.shape("state_dict/a.weight"), [3, 2]);
    assert_eq!(back.values("state_dict/a.weight"), [a[0], a[2], a[4], a[1], a[3], a[5]]);
    let b: Vec<f32> = now.values("state_dict/b.weight");
    let rows: Vec<&[f32]> = b.chunks(2).collect();
    let expected = [rows[3], rows[0], rows[4], rows[1], rows[5], rows[2]].concat();
    assert_eq!(back.values("state_dict/b.weight"), expected);
    let joined = now.values("state_dict/ac");
    assert_eq!(back.values("state_dict/buffer"), joined[..4]);
    assert_eq!(back.values("state_dict/c.weight"), joined[4..]);
}

const SCALE: &str = "\
def migrate(ckpt):
    sd = ckpt['state_dict']
    sd['c.weight'] = sd['c.weight'] * 2
    sd['a.half'] = sd.pop('a.weight').half()
    return ckpt
";

#[test]
fn computed_tensors_that_were_not_trained_are_restored() {
    let (now, back) = there_and_back(&[SCALE], |ckpt| ckpt.train(|path| path == "state_dict/b.weight"));
    assert_eq!(back.values("state_dict/c.weight"), ramp(3, 40.0));
    assert_eq!(back.values("state_dict/a.weight"), ramp(6, 0.0));
    assert_eq!(back.values("state_dict/b.weight"), now.values("state_dict/b.weight"));
}

#[test]
fn a_computed_tensor_that_was_trained_is_refused_by_name() {
    let trained = Trained::new(&[SCALE], &begin(), |ckpt| ckpt.train(|path| path.ends_with("c.weight")));
    let message = trained.refused();
    assert!(message.contains("`state_dict/c.weight` was computed by the migration"), "{message}");
}

#[test]
fn a_tensor_reset_by_the_migration_and_trained_is_refused() {
    let body = "\
def migrate(ckpt):
    ckpt['state_dict']['c.weight'] = torch.zeros(3)
    return ckpt
";
    let trained = Trained::new(&[body], &begin(), |ckpt| ckpt.train(everything));
    assert!(trained.refused().contains("`state_dict/c.weight` was set by the migration"));
    let same = Trained::new(&[body], &begin(), |ckpt| ckpt.set_int("epoch", 5));
    assert_eq!(same.back().values("state_dict/c.weight"), ramp(3, 40.0));
}

#[test]
fn migrations_are_undone_one_after_the_other() {
    let mut now = None;
    let trained =
        Trained::new(&[RENAME, MOVE, &SPLIT.replace("b.weight", "second.weight")], &begin(), |ckpt| {
            ckpt.train(everything);
            ckpt.set_float("config/optimizer/lr", 0.25);
            now = Some(ckpt.clone());
        });
    let now = now.unwrap();
    let middle = trained.home.json(["checkout", "--version", "1.0.0"]);
    assert_eq!(middle["operations"].as_array().unwrap().len(), 2);
    let back = trained.back();
    let joined: Vec<f32> =
        ["q", "k", "v"].iter().flat_map(|part| now.values(&format!("state_dict/b.{part}"))).collect();
    assert_eq!(back.values("state_dict/b.weight"), joined);
    assert_eq!(back.values("state_dict/a.weight"), now.values("state_dict/first.weight"));
    assert_eq!(back.float("config/model/rate"), 0.25);
}

#[test]
fn several_merges_in_one_plan_see_what_the_one_before_left() {
    let scripts = [SPLIT, &RENAME.replace("b.", "b.q"), MOVE];
    let (now, back) = there_and_back(&scripts, |ckpt| ckpt.train(everything));
    assert_eq!(back.tensors().len(), 4);
    assert_eq!(back.values("state_dict/b.weight").len(), 12);
    assert_eq!(back.values("state_dict/a.weight"), now.values("state_dict/first.weight"));
}

#[test]
fn a_container_that_the_migration_changed_and_training_replaced_is_refused() {
    let trained = Trained::new(&[MOVE], &begin(), |ckpt| {
        let text = ckpt.graph.add_str("all of it");
        ckpt.set("config", text);
    });
    assert!(trained.refused().contains("`config"));
    // One that was taken out altogether leaves nothing to undo.
    let gone = Trained::new(&[MOVE], &begin(), |ckpt| ckpt.remove("config"));
    assert!(!gone.back().has("config"));
}

#[test]
fn what_training_put_into_an_added_dict_is_not_lost() {
    let body = "\
def migrate(ckpt):
    ckpt['metrics'] = {'count': 0}
    return ckpt
";
    let grown = Trained::new(&[body], &begin(), |ckpt| ckpt.set_float("metrics/loss", 0.5));
    assert!(grown.refused().contains("`metrics/loss`"));
    let counted = Trained::new(&[body], &begin(), |ckpt| ckpt.set_int("metrics/count", 5));
    assert!(!counted.back().has("metrics"));
}

#[test]
fn the_shipped_catalogue_is_undone_after_training() {
    let home = Home::migrated();
    let mut ckpt = Checkpoint::load(&home.path("a.ckpt"));
    ckpt.train(|path| path.contains("emb") || path.contains("encoder"));
    ckpt.save(&home.path("a.ckpt"));
    home.run(["import"]).ok();
    let plan = home.json(["plan", "--version", "0.8.0"]);
    assert_eq!(plan["operations"][0]["method"], "merge", "{plan}");
    home.run(["checkout", "--version", "0.8.0"]).ok();
    let back = Checkpoint::load(&home.path("a.ckpt"));
    let renamed: Vec<String> =
        back.tensors().keys().filter(|key| key.contains("emb_nodes_src")).cloned().collect();
    assert!(!renamed.is_empty());
    for key in renamed {
        let new = key.replace("emb_nodes_src", "embed_source");
        assert_eq!(back.values(&key), ckpt.values(&new), "{key}");
    }
}

#[test]
fn an_optimizer_with_names_follows_its_parameters() {
    let mut old = begin();
    let moments: [(i64, &str, &[f32]); 3] =
        [(0, "a.weight", &[1.0; 6]), (1, "b.weight", &[2.0; 12]), (2, "c.weight", &[3.0; 3])];
    old.set_optimizer(&moments, true);
    let trained = Trained::new(&[RENAME], &old, |ckpt| {
        ckpt.train(everything);
        // The model of this version has its parameters in another order.
        let moments: [(i64, &str, &[f32]); 3] =
            [(0, "c.weight", &[6.0; 3]), (1, "first.weight", &[4.0; 6]), (2, "second.weight", &[5.0; 12])];
        ckpt.set_optimizer(&moments, true);
    });
    let plan = trained.home.json(["plan", "--version", "0.0.1"]);
    assert_eq!(plan["warnings"].as_array().unwrap().len(), 0, "{plan}");
    let expected = [
        ("a.weight".to_owned(), vec![4.0; 6]),
        ("b.weight".to_owned(), vec![5.0; 12]),
        ("c.weight".to_owned(), vec![6.0; 3]),
    ];
    assert_eq!(trained.back().optimizer(), expected);
}

#[test]
fn an_optimizer_that_may_not_fit_is_left_alone_and_warned_of() {
    let mut old = begin();
    let moments: [(i64, &str, &[f32]); 3] = [(0, "a", &[1.0; 6]), (1, "b", &[2.0; 12]), (2, "c", &[3.0; 3])];
    old.set_optimizer(&moments, false);
    let shapes: [(&[u64], &str); 3] = [(&[2, 3], "0"), (&[6, 2], "1"), (&[3], "2")];
    for (shape, place) in shapes {
        let values = ramp(shape.iter().product::<u64>() as usize, 0.0);
        let moments = old.tensor(shape, &values);
        old.set_item(&format!("optimizer_states/0/state/{place}"), "exp_avg", moments);
    }
    let home = Home::new();
    let drop = "def migrate(ckpt):\n    del ckpt['state_dict']['b.weight']\n    return ckpt\n";
    let buffer = "def migrate(ckpt):\n    del ckpt['state_dict']['buffer']\n    return ckpt\n";
    catalogue(&home, &[buffer, drop]);
    old.save(&home.path("a.ckpt"));
    home.run(["import", "a.ckpt"]).ok();
    let fine = home.json(["checkout", "--version", "1.0.0"]);
    assert_eq!(fine["warnings"].as_array().unwrap().len(), 0, "{fine}");
    let stale = home.json(["checkout", "--version", "2.0.0"]);
    assert_eq!(stale["warnings"][0]["code"], "W_OPTIMIZER", "{stale}");
    let message = stale["warnings"][0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("`optimizer_states/0` may not fit the parameters since `1700000002_m2`"),
        "{message}"
    );
}

#[test]
fn copies_of_one_tensor_lead_back_while_they_are_equal() {
    let body = "\
def migrate(ckpt):
    sd = ckpt['state_dict']
    c = sd.pop('c.weight')
    sd['c.one'], sd['c.two'] = c.clone(), c.clone()
    return ckpt
";
    let values = [7.0, 8.0, 9.0];
    let equal = Trained::new(&[body], &begin(), |ckpt| {
        ckpt.set_tensor("state_dict/c.one", &[3], &values);
        ckpt.set_tensor("state_dict/c.two", &[3], &values);
    });
    assert_eq!(equal.back().values("state_dict/c.weight"), values);
    let apart = Trained::new(&[body], &begin(), |ckpt| {
        ckpt.set_tensor("state_dict/c.one", &[3], &values);
    });
    let message = apart.refused();
    assert!(message.contains("`state_dict/c.one` and `state_dict/c.two` were one tensor"), "{message}");
}

#[test]
fn a_tied_tensor_whose_twin_went_on_in_copies_is_refused_when_they_were_trained_apart() {
    let mut old = begin();
    let tied = old.at("state_dict/c.weight");
    old.set("state_dict/twin", tied);
    let body = "\
def migrate(ckpt):
    sd = ckpt['state_dict']
    c = sd.pop('c.weight')
    sd['c.one'], sd['c.two'] = c.clone(), c.clone()
    return ckpt
";
    let apart = Trained::new(&[body], &old, |ckpt| {
        ckpt.set_tensor("state_dict/twin", &[3], &[1.0, 2.0, 3.0]);
        ckpt.set_tensor("state_dict/c.one", &[3], &[7.0, 8.0, 9.0]);
    });
    assert!(apart.refused().contains("were one tensor and are different now"));
    let values = [1.0, 2.0, 3.0];
    let kept = Trained::new(&[body], &old, |ckpt| ckpt.set_tensor("state_dict/twin", &[3], &values));
    assert_eq!(kept.back().values("state_dict/c.weight"), values);
}

#[test]
fn tied_tensors_are_tied_again() {
    let mut old = begin();
    let tied = old.at("state_dict/c.weight");
    let twin = old.graph.kind(tied).clone();
    let twin = old.graph.add(twin);
    old.set("state_dict/twin", twin);
    let body = "def migrate(ckpt):\n    del ckpt['state_dict']['twin']\n    return ckpt\n";
    let trained =
        Trained::new(&[body], &old, |ckpt| ckpt.set_tensor("state_dict/c.weight", &[3], &[7.0, 8.0, 9.0]));
    let back = trained.back();
    assert_eq!(back.values("state_dict/twin"), [7.0, 8.0, 9.0]);
    let storage = |path: &str| back.graph.as_tensor(back.at(path)).unwrap().storage.storage;
    assert_eq!(storage("state_dict/twin"), storage("state_dict/c.weight"));
    // Untrained, they are the stored ones, and tied as well.
    let same = Trained::new(&[body], &old, |ckpt| ckpt.set_int("epoch", 7)).back();
    let storage = |path: &str| same.graph.as_tensor(same.at(path)).unwrap().storage.storage;
    assert_eq!(storage("state_dict/twin"), storage("state_dict/c.weight"));
}

#[test]
fn a_padded_tensor_is_cut_and_a_cut_one_is_refused() {
    let body = "\
def migrate(ckpt):
    sd = ckpt['state_dict']
    wide = torch.zeros(6, 4)
    wide[:, 1:3] = sd['b.weight']
    sd['b.weight'] = wide
    sd['c.weight'] = torch.cat([sd['c.weight'], torch.zeros(2)])
    return ckpt
";
    let (now, back) = there_and_back(&[body], |ckpt| ckpt.train(everything));
    let wide = now.values("state_dict/b.weight");
    let inner: Vec<f32> = wide.chunks(4).flat_map(|row| row[1..3].to_vec()).collect();
    assert_eq!(back.values("state_dict/b.weight"), inner);
    assert_eq!(back.values("state_dict/c.weight"), now.values("state_dict/c.weight")[..3]);

    let cut = "def migrate(ckpt):\n    sd = ckpt['state_dict']\n    sd['b.weight'] = sd['b.weight'][:4]\n    return ckpt\n";
    let trained = Trained::new(&[cut], &begin(), |ckpt| ckpt.train(everything));
    let message = trained.refused();
    assert!(message.contains("`state_dict/b.weight` was computed"), "{message}");
}

#[test]
fn swapped_tensors_and_settings_are_swapped_back() {
    let body = "\
def migrate(ckpt):
    sd, model = ckpt['state_dict'], ckpt['config']['model']
    sd['buffer'], sd['c.weight'] = sd['c.weight'], sd['buffer']
    model['rate'], model['layers'] = model['layers'], model['rate']
    return ckpt
";
    let (now, back) = there_and_back(&[body], |ckpt| {
        ckpt.train(everything);
        ckpt.set_int("config/model/rate", 99);
    });
    assert_eq!(back.values("state_dict/buffer"), now.values("state_dict/c.weight"));
    assert_eq!(back.values("state_dict/c.weight"), now.values("state_dict/buffer"));
    assert_eq!(back.int("config/model/layers"), 99);
    assert_eq!(back.float("config/model/rate"), 0.5);
}

#[test]
fn a_setting_computed_from_a_dropped_one_is_refused_when_it_changed() {
    let body = "\
def migrate(ckpt):
    model = ckpt['config']['model']
    model['half_rate'] = model.pop('rate') / 2
    return ckpt
";
    let same = Trained::new(&[body], &begin(), |ckpt| ckpt.train(everything));
    assert_eq!(same.back().float("config/model/rate"), 0.5);
    let changed = Trained::new(&[body], &begin(), |ckpt| ckpt.set_float("config/model/half_rate", 9.0));
    assert!(changed.refused().contains("`config/model/half_rate`"));
}

#[test]
fn a_rollback_function_serves_where_merging_is_refused() {
    let body = format!(
        "{SCALE}\n\ndef rollback(ckpt):\n    sd = ckpt['state_dict']\n    sd['c.weight'] = sd['c.weight'] / 2\n    \
         sd['a.weight'] = sd.pop('a.half').float()\n    return ckpt\n"
    );
    let trained = Trained::new(&[&body], &begin(), |ckpt| {
        ckpt.set_tensor("state_dict/c.weight", &[3], &[2.0, 4.0, 6.0]);
    });
    let plan = trained.home.json(["plan", "--version", "0.0.1"]);
    assert_eq!(plan["operations"][0]["method"], "script", "{plan}");
    trained.home.run(["checkout", "--version", "0.0.1"]).ok();
    let back = Checkpoint::load(&trained.home.path("a.ckpt"));
    assert_eq!(back.values("state_dict/c.weight"), [1.0, 2.0, 3.0]);
}

#[test]
fn what_follows_a_rollback_function_is_not_guessed() {
    let rename = RENAME.replace("a.", "c.");
    let scale =
        format!("{SCALE}\n\ndef rollback(ckpt):\n    return ckpt\n").replace("c.weight", "first.weight");
    let trained = Trained::new(&[&rename, &scale], &begin(), |ckpt| ckpt.train(everything));
    // The second can only be undone by its function, and what that leaves is not known to the first.
    let message = trained.refused();
    assert!(message.contains("1700000002_m2"), "{message}");
}
