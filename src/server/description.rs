//! `GET /openapi.json`: the description of what is served.

use axum::http::header;
use axum::response::IntoResponse;

use super::extract::{Nothing, Params};
use super::problem::Answer;

/// The description, OpenAPI 3.1, as it is served but for the version.
pub const TEXT: &str = include_str!("openapi.json");

/// Serves the description.
pub async fn openapi(_: Params<Nothing>) -> Answer {
    let text = TEXT.replacen("\"0.0.0\"", &format!("\"{}\"", env!("CARGO_PKG_VERSION")), 1);
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::super::routes::{Access, ROUTES};
    use super::*;
    use serde_json::{Value, json};

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
