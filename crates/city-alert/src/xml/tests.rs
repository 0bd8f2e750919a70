//! Documents that are read, and the bounds past which none is.

use super::*;

fn read_text(text: &str) -> Result<Element, Error> {
    read(text.as_bytes())
}

fn refused(text: &str) -> Error {
    read_text(text).expect_err(text.get(..text.len().min(60)).unwrap_or_default())
}

#[test]
fn names_are_resolved_and_text_is_what_the_bytes_say() {
    let root = read_text(
        "<?xml version='1.0'?><!-- c --><?p q?>\n<a:r xmlns:a='urn:a' xmlns='urn:b' a:k='1&#10;2' l='&lt;\t&amp;'>\r\n \
         <b>x &amp; y<![CDATA[<z>]]>&#x6d2a;\r\n</b><b xmlns=''/></a:r>\n",
    )
    .unwrap();
    assert_eq!((&*root.namespace, root.name.as_str(), root.text.as_str()), ("urn:a", "r", ""));
    let attributes: Vec<(&str, &str, &str)> =
        root.attributes.iter().map(|one| (&*one.namespace, one.name.as_str(), one.value.as_str())).collect();
    assert_eq!(attributes, [("urn:a", "k", "1\n2"), ("", "l", "< &")]);
    assert_eq!((&*root.children[0].namespace, root.children[0].text.as_str()), ("urn:b", "x & y<z>洪\n"));
    assert_eq!(&*root.children[1].namespace, "");
}

#[test]
fn the_encoding_is_the_declared_one() {
    let latin = b"<?xml version=\"1.0\" encoding='ISO-8859-1'?><a>Usulut\xe1n</a>";
    assert_eq!(read(latin).unwrap().text, "Usulután");
    assert_eq!(read("\u{feff}<a>洪水</a>".as_bytes()).unwrap().text, "洪水");
    assert_eq!(read(b"<a>\xe1</a>"), Err(Error::NotUtf8 { at: 3 }));
    let shift_jis = b"<?xml version=\"1.0\" encoding=\"Shift_JIS\"?><a/>";
    assert_eq!(read(shift_jis), Err(Error::Encoding("Shift_JIS".to_owned())));
    assert_eq!(read(b"\xff\xfe<\0a\0"), Err(Error::Encoding("UTF-16".to_owned())));
}

#[test]
fn nothing_is_expanded_and_nothing_is_fetched() {
    let laughs = "<!DOCTYPE a [<!ENTITY b 'ha'><!ENTITY c '&b;&b;&b;'>]><a>&c;</a>";
    let outside = "<!DOCTYPE a SYSTEM 'http://example.org/a.dtd'><a/>";
    let file = "<?xml version='1.0'?>\n<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>";
    assert_eq!(refused(laughs), Error::Doctype { line: 1 });
    assert_eq!(refused(outside), Error::Doctype { line: 1 });
    assert_eq!(refused(file), Error::Doctype { line: 2 });
    assert_eq!(refused("<!DOCTYPE a ["), Error::Doctype { line: 1 });
    assert_eq!(refused("<a>&xxe;</a>"), Error::Entity { line: 1, name: "xxe".to_owned() });
    assert_eq!(refused("<a b='&xxe;'/>"), Error::Entity { line: 1, name: "xxe".to_owned() });
    assert_eq!(refused("<a>&#0;</a>"), Error::Entity { line: 1, name: "#0".to_owned() });
    assert_eq!(refused("<a>&#xD800;</a>"), Error::Entity { line: 1, name: "#xD800".to_owned() });
}

#[test]
fn every_bound_is_held() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(read_text(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(refused(&nested(DEPTH_MAX + 1)), Error::TooDeep { line: 1 });
    assert_eq!(refused(&"<a>".repeat(100_000)), Error::TooDeep { line: 1 });
    let beside = |count: usize| format!("<a>{}</a>", "<b/>".repeat(count - 1));
    assert!(read_text(&beside(ELEMENTS_MAX)).is_ok());
    assert_eq!(refused(&beside(ELEMENTS_MAX + 1)), Error::TooManyElements { line: 1 });
    let long = |bytes: usize| format!("<a>{}<!-- --><![CDATA[b]]></a>", "b".repeat(bytes - 1));
    assert!(read_text(&long(TEXT_BYTES_MAX)).is_ok());
    assert_eq!(refused(&long(TEXT_BYTES_MAX + 1)), Error::TextTooLong { line: 1 });
    let attributes = |count: usize| {
        let all: String = (0..count).map(|index| format!(" a{index}=''")).collect();
        format!("<a{all}/>")
    };
    assert!(read_text(&attributes(ATTRIBUTES_MAX)).is_ok());
    assert_eq!(refused(&attributes(ATTRIBUTES_MAX + 1)), Error::TooManyAttributes { line: 1 });
    let everywhere = |count: usize| format!("<a>{}</a>", "<b c=''/>".repeat(count));
    assert_eq!(DOCUMENT_ATTRIBUTES_MAX, ELEMENTS_MAX, "else the next line meets the other bound");
    assert!(read_text(&everywhere(ELEMENTS_MAX - 1)).is_ok());
    let two_each = format!("<a>{}</a>", "<b c='' d=''/>".repeat(DOCUMENT_ATTRIBUTES_MAX / 2 + 1));
    assert_eq!(refused(&two_each), Error::TooManyAttributes { line: 1 });
    let bytes = DOCUMENT_BYTES_MAX + 1;
    assert_eq!(read(&vec![b' '; bytes]), Err(Error::TooLarge { bytes }));
}

#[test]
fn what_is_no_document_is_refused_with_its_line() {
    assert_eq!(refused(""), Error::Empty);
    assert_eq!(refused("\n<!-- -->"), Error::Empty);
    assert_eq!(refused("<a><b></b>"), Error::Ends("a".to_owned()));
    assert_eq!(refused("<a><b"), Error::Ends("a".to_owned()));
    assert_eq!(refused("<a>\n\u{1}</a>"), Error::Character { line: 2, code: 1 });
    assert_eq!(refused("<a>\n<b:c/></a>"), Error::Prefix { line: 2, prefix: "b".to_owned() });
    for text in [
        "<a>\n</b>",
        "<a/>\n<b/>",
        "<a/>\ntext",
        "text\n<a/>",
        "<a>\n<1/></a>",
        "<a>\n<b c=1/></a>",
        "<a>\n<b c='<'/></a>",
        "<a>\n<b c='1' c='2'/></a>",
        "<a>\n<b c='&amp'/></a>",
        "<a>\n<b:/></a>",
        "<a>\n<!-- a -- b --></a>",
    ] {
        assert!(matches!(refused(text), Error::Malformed { .. } | Error::Ends(_)), "{text}: {:?}", refused(text));
    }
}

#[test]
fn many_declarations_and_names_that_are_not_declared_stay_cheap() {
    let declared: String = (0..ATTRIBUTES_MAX).map(|index| format!(" xmlns:p{index}='u'")).collect();
    let open: String = (1..DEPTH_MAX).map(|_| format!("<a{declared}>")).collect();
    let text = format!("{open}{}{}", "<p0:b/>".repeat(100_000), "</a>".repeat(DEPTH_MAX - 1));
    assert!(read_text(&text).is_ok());
}
