use rmpv::Value as Packed;

use super::*;

const NONCE: [u8; 3] = [0, 255, 128];

fn bytes(value: &Packed) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, value).unwrap();
    out
}

fn pair(key: &str, value: Packed) -> (Packed, Packed) {
    (key.into(), value)
}

fn hello(nonce: Packed, auth: Packed) -> Vec<u8> {
    let options = vec![pair("nonce", nonce), pair("auth", auth), pair("keepalive", true.into())];
    bytes(&Packed::Array(vec!["HELO".into(), Packed::Map(options)]))
}

fn pong(ok: bool, reason: &str, hostname: &str, digest: &str) -> Vec<u8> {
    bytes(&Packed::Array(vec!["PONG".into(), ok.into(), reason.into(), hostname.into(), digest.into()]))
}

fn ack(chunk: Packed) -> Vec<u8> {
    bytes(&Packed::Map(vec![pair("other", Packed::Array(vec![1.into()])), pair("ack", chunk)]))
}

/// All that is heard of these words, however they are cut, and what is answered.
fn heard(dialogue: &mut Dialogue, words: &[u8], piece: usize) -> (Vec<Heard>, Vec<u8>) {
    let (mut all, mut answer) = (Vec::new(), Vec::new());
    let mut said = Vec::new();
    for piece in words.chunks(piece) {
        said.extend_from_slice(piece);
        loop {
            let mut rest = &*said;
            let heard = dialogue.hear(&mut rest, &mut answer);
            let used = said.len() - rest.len();
            said.drain(..used);
            if heard != Heard::More {
                all.push(heard);
            }
            if used == 0 {
                break;
            }
        }
    }
    (all, answer)
}

fn begun(login: Login<'_>) -> (Dialogue, Heard) {
    let mut dialogue = Dialogue::new(&login, "web-1");
    let heard = dialogue.hear(&mut &b""[..], &mut Vec::new());
    (dialogue, heard)
}

fn refused(heard: &Heard, word: &str) {
    assert!(matches!(heard, Heard::Refused(why) if why.contains(word)), "{heard:?}");
}

#[test]
fn without_a_key_payloads_follow_at_once_and_acks_are_heard_however_they_are_cut() {
    let words = [ack("one".into()), ack(Packed::from(&b"two"[..])), bytes(&Packed::Nil)].concat();
    for piece in [1, 2, 7, words.len()] {
        let (mut dialogue, first) = begun(Login::new());
        assert_eq!(first, Heard::Ready);
        let (all, answer) = heard(&mut dialogue, &words, piece);
        assert_eq!(all, [Heard::Acked("one".to_owned()), Heard::Acked("two".to_owned())]);
        assert!(answer.is_empty());
    }
}

#[test]
fn the_proof_is_the_one_that_another_program_computes() {
    let expected = "ff3807"; // Of `sha512sum`, its first digits.
    let proof = hash(&[b"salt", b"logchute", &NONCE, b"key"]);
    assert_eq!((proof.len(), &proof[..6]), (128, expected));
}

#[test]
fn both_sides_prove_the_key_whether_the_nonce_is_bytes_or_a_text_that_is_none() {
    let of_text = Packed::String(String::from_utf8(b"raw".to_vec()).unwrap().into());
    for (nonce, raw) in [(Packed::from(&NONCE[..]), &NONCE[..]), (of_text, &b"raw"[..])] {
        for auth in [Packed::from(""), Packed::from(&b"\xffauth"[..])] {
            let (mut dialogue, first) = begun(Login::new().token("key").user("app", "word"));
            assert_eq!(first, Heard::More);
            let (all, answer) = heard(&mut dialogue, &hello(nonce.clone(), auth.clone()), 1);
            assert!(all.is_empty());
            let Packed::Array(ping) = rmpv::decode::read_value(&mut &*answer).unwrap() else { panic!("no array") };
            // Texts, all of them.
            let ping: Vec<&str> = ping.iter().map(|part| part.as_str().unwrap()).collect();
            let [kind, hostname, salt, proof, user, of_user] = ping[..] else { panic!("{ping:?}") };
            assert_eq!((kind, hostname, salt.len()), ("PING", "web-1", 32));
            assert_eq!(proof, hash(&[salt.as_bytes(), b"web-1", raw, b"key"]));
            let is_asked = matches!(auth, Packed::Binary(_));
            assert_eq!(user, if is_asked { "app" } else { "" });
            let expected = if is_asked { hash(&[b"\xffauth", b"app", b"word"]) } else { String::new() };
            assert_eq!(of_user, expected);

            let theirs = hash(&[salt.as_bytes(), b"srv", raw, b"key"]);
            let words = [pong(true, "", "srv", &theirs), ack("one".into())].concat();
            assert_eq!(heard(&mut dialogue, &words, 3).0, [Heard::Ready, Heard::Acked("one".to_owned())]);
        }
    }
    // Two handshakes do not share a salt.
    assert_ne!(salt(), salt());
}

#[test]
fn a_refusal_is_told_with_the_settings() {
    let greeted = || {
        let (mut dialogue, _) = begun(Login::new().token("key"));
        heard(&mut dialogue, &hello(Packed::from(&NONCE[..]), "".into()), 100);
        dialogue
    };
    let one = |dialogue: &mut Dialogue, words: &[u8]| heard(dialogue, words, 9).0.remove(0);
    refused(&one(&mut greeted(), &pong(false, "shared_key mismatch", "", "")), "shared_key mismatch");
    // Fluent's own server sends no more than that.
    let short = bytes(&Packed::Array(vec!["PONG".into(), false.into(), "no".into()]));
    refused(&one(&mut greeted(), &short), "LOGCHUTE_TOKEN");
    refused(&one(&mut greeted(), &pong(true, "", "srv", "00")), "does not prove");
    refused(&one(&mut begun(Login::new()).0, &hello(Packed::from(&NONCE[..]), "".into())), "set LOGCHUTE_TOKEN");
    refused(&begun(Login::new().user("app", "word")).1, "LOGCHUTE_TOKEN");
}

#[test]
fn what_is_no_forward_is_garbled() {
    for words in [&b"\x15\x03\x03\0\x02\x02\x0a"[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xc1", &bytes(&1.into())] {
        for login in [Login::new(), Login::new().token("key")] {
            let (mut dialogue, _) = begun(login);
            let first = heard(&mut dialogue, words, words.len()).0.remove(0);
            assert!(matches!(&first, Heard::Garbled(why) if why.contains("forward+tls://")), "{first:?}");
        }
    }
    // A text that never ends.
    let (mut dialogue, _) = begun(Login::new());
    let endless = [&b"\xdb\xff\xff\xff\xff"[..], &[b'x'; LONGEST]].concat();
    assert!(matches!(heard(&mut dialogue, &endless, 1024).0[0], Heard::Garbled(_)));
}

#[test]
fn whatever_is_said_no_word_panics_and_none_is_taken_for_the_ack() {
    let mut random = fastrand::Rng::with_seed(3);
    let real = [
        hello(Packed::from(&NONCE[..]), "salt".into()),
        pong(true, "", "srv", "00"),
        pong(false, "no", "srv", ""),
        ack("0123456789abcdef-7".into()),
    ];
    for round in 0..100_000 {
        let mut words = real[round % 4].clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..words.len());
            match random.u8(..3) {
                0 => words[at] = random.u8(..),
                1 => words[at] ^= 1 << random.u8(..8),
                _ => words.truncate(at.max(1)),
            }
        }
        let login = if round % 8 < 4 { Login::new() } else { Login::new().token("key") };
        let (mut dialogue, _) = begun(login);
        let piece = random.usize(1..20);
        for heard in heard(&mut dialogue, &words, piece).0 {
            assert!(heard != Heard::Ready, "let in by {words:?}");
            if heard == Heard::Acked("0123456789abcdef-7".to_owned()) {
                // Only where what was changed says nothing of it.
                assert!(words.ends_with(b"0123456789abcdef-7"));
            }
        }
    }
}
