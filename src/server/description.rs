//! `GET /openapi.json`: the description of what is served.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::Value;

use super::Shared;
use super::extract::{Nothing, Params};
use super::problem::{Answer, Problem};
use super::routes::{Access, ROUTES};

/// The description, OpenAPI 3.1, as it is served but for the version.
pub const TEXT: &str = include_str!("openapi.json");

/// Serves the description. A server that only reads describes no writing.
pub async fn openapi(State(shared): State<Arc<Shared>>, _: Params<Nothing>) -> Answer {
    let broken = |error| Problem::new("E_INTERNAL", format!("the description cannot be read: {error}"));
    let mut description: Value = serde_json::from_str(TEXT).map_err(broken)?;
    description["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    if shared.rules.read_only {
        leave_writing_out(&mut description);
    }
    Ok(Json(description).into_response())
}

fn leave_writing_out(description: &mut Value) {
    let Some(paths) = description["paths"].as_object_mut() else { return };
    for route in ROUTES.iter().filter(|route| route.access == Access::Write) {
        if let Some(operations) = paths.get_mut(route.path).and_then(Value::as_object_mut) {
            operations.remove(&route.method.to_lowercase());
        }
    }
    paths.retain(|_, operations| operations.as_object().is_some_and(|operations| !operations.is_empty()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn description() -> Value {
        serde_json::from_str(TEXT).unwrap()
    }

    #[test]
    fn what_is_described_is_served_and_what_is_served_is_described() {
        let description = description();
        let mut described = Vec::new();
        for (path, operations) in description["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys().filter(|key| *key != "parameters") {
                described.push((method.to_uppercase(), path.clone()));
            }
        }
        let mut served: Vec<_> =
            ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
        described.sort();
        served.sort();
        assert_eq!(described, served);
    }

    #[test]
    fn writing_is_described_as_taking_the_token() {
        let description = description();
        for route in ROUTES {
            let operation = &description["paths"][route.path][route.method.to_lowercase()];
            let security = operation["security"].as_array().expect("every operation says who is let in");
            let expected = match route.access {
                Access::Open => json!([]),
                Access::Read => json!([{}, { "token": [] }]),
                Access::Write => json!([{ "token": [] }]),
            };
            assert_eq!(json!(security), expected, "{} {}", route.method, route.path);
        }
    }
}
