//! Pages of lists, with relative links in the 2010 API and absolute ones elsewhere.
//!
//! A page token names the last item of the previous page (`PA…`) or the first item of the next page (`PB…`), so an item
//! that is created meanwhile neither repeats nor hides another.

use serde_json::{Value, json};

use crate::{
    http::{Answer, Pairs, Request},
    twilio::errors::ApiError,
};

const LARGEST: usize = 1000;
const OWN_PARAMETERS: [&str; 3] = ["PageSize", "Page", "PageToken"];

/// The page that the caller wants.
#[derive(Debug)]
struct Wanted {
    page: usize,
    size: usize,
    token: Option<String>,
}

impl Wanted {
    fn of(query: &Pairs, default_size: usize) -> Result<Self, ApiError> {
        let number = |name: &str, default: usize| match query.text(name) {
            None => Ok(default),
            Some(text) => text
                .parse::<usize>()
                .map_err(|_| ApiError::invalid(20422, format!("{name} must be a whole number, not '{text}'"))),
        };
        let size = number("PageSize", default_size)?;
        if size > LARGEST {
            return Err(ApiError::invalid(20007, format!("Page size must be at most {LARGEST}, not {size}")));
        }
        let page = number("Page", 0)?;
        if size == 0 || page > 1_000_000 {
            return Err(ApiError::invalid(20422, "PageSize must be at least 1 and Page a sensible number"));
        }
        Ok(Self { page, size, token: query.text("PageToken").map(str::to_owned) })
    }

    /// The index of the page's first item among `sids`.
    fn start(&self, sids: &[&str]) -> usize {
        let position = |prefix: &str| {
            let anchor = self.token.as_deref()?.strip_prefix(prefix)?;
            sids.iter().position(|sid| *sid == anchor)
        };
        if let Some(last_before) = position("PA") {
            last_before + 1
        } else if let Some(first_after) = position("PB") {
            first_after.saturating_sub(self.size)
        } else {
            self.page * self.size
        }
    }
}

/// One page's items, and the queries of its neighbours.
struct Cut<T> {
    items: Vec<T>,
    page: usize,
    size: usize,
    start: usize,
    this: String,
    first: String,
    previous: Option<String>,
    next: Option<String>,
}

fn cut<T>(request: &Request, all: Vec<T>, sid: impl Fn(&T) -> &str, default_size: usize) -> Result<Cut<T>, ApiError> {
    let wanted = Wanted::of(&request.query, default_size)?;
    let sids: Vec<&str> = all.iter().map(&sid).collect();
    let start = wanted.start(&sids).min(sids.len());
    let end = (start + wanted.size).min(sids.len());

    let filters = request.query.encoded_without(&OWN_PARAMETERS);
    let query = |page: usize, token: Option<String>| {
        let separator = if filters.is_empty() { "" } else { "&" };
        let token = token.map(|token| format!("&PageToken={token}")).unwrap_or_default();
        format!("{filters}{separator}PageSize={}&Page={page}{token}", wanted.size)
    };
    let previous = (start > 0 && wanted.page > 0)
        .then(|| query(wanted.page - 1, sids.get(start).map(|first| format!("PB{first}"))));
    let next = (end < sids.len()).then(|| query(wanted.page + 1, Some(format!("PA{}", sids[end - 1]))));
    let (this, first) = (query(wanted.page, wanted.token.clone()), query(0, None));
    let items = all.into_iter().skip(start).take(end - start).collect();
    Ok(Cut { items, page: wanted.page, size: wanted.size, start, this, first, previous, next })
}

/// A page of the 2010 API.
pub(crate) fn relative<T>(
    request: &Request,
    key: &str,
    all: Vec<T>,
    sid: impl Fn(&T) -> &str,
    render: impl Fn(T) -> Value,
) -> Result<Answer, ApiError> {
    let cut = cut(request, all, sid, 50)?;
    let uri = |query: String| format!("{}?{query}", request.path);
    let count = cut.items.len();
    let page = json!({
        key: cut.items.into_iter().map(render).collect::<Vec<_>>(),
        "page": cut.page,
        "page_size": cut.size,
        "start": cut.start,
        "end": (cut.start + count).saturating_sub(1),
        "uri": uri(cut.this),
        "first_page_uri": uri(cut.first),
        "next_page_uri": cut.next.map(uri),
        "previous_page_uri": cut.previous.map(uri),
    });
    Ok(Answer::json(http::StatusCode::OK, &page))
}

/// A page of the newer APIs, whose links lead back to the host that the caller used.
pub(crate) fn absolute<T>(
    request: &Request,
    key: &str,
    all: Vec<T>,
    default_size: usize,
    sid: impl Fn(&T) -> &str,
    render: impl Fn(T) -> Value,
) -> Result<Answer, ApiError> {
    let cut = cut(request, all, sid, default_size)?;
    let url = |query: String| format!("{}{}?{query}", request.base, request.path);
    let page = json!({
        key: cut.items.into_iter().map(render).collect::<Vec<_>>(),
        "meta": {
            "page": cut.page,
            "page_size": cut.size,
            "first_page_url": url(cut.first),
            "previous_page_url": cut.previous.map(url),
            "url": url(cut.this),
            "next_page_url": cut.next.map(url),
            "key": key,
        },
    });
    Ok(Answer::json(http::StatusCode::OK, &page))
}
