//! The codes of diagnostics and what is said about them.

use std::collections::BTreeSet;

use config::Code;

#[test]
fn every_code_is_unique_and_explained() {
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.code()).collect();
    assert_eq!(codes.len(), Code::ALL.len());
    for code in Code::ALL {
        let (text, title) = (code.explanation(), code.title());
        let is_code = matches!(code.code().split_at(1), ("E" | "W", digits)
            if digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()));
        assert!(is_code, "{code:?}");
        assert!(!title.is_empty() && !title.ends_with('.'), "{code:?}: {title}");
        assert!(text.len() > 40 && text.ends_with('.'), "{code:?}: {text}");
        assert!(!text.contains("  "), "{code:?}: {text}");
        assert_eq!(Code::find(&code.code().to_lowercase()), Some(*code));
    }
    assert_eq!(Code::find("E9999"), None);
}
