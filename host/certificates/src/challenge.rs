//! What is shown to a CA that checks a name, for as long as it checks.

use crate::certificate::{certified, new_key};
use crate::served::Served;
use crate::{Challenge, Error};
use instant_acme::{ChallengeType, KeyAuthorization};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName};
use std::sync::Arc;

/// Answers that are withdrawn when this is dropped, whatever has happened.
#[derive(Debug)]
pub(crate) struct Answers<'a> {
    certificates: &'a Served,
    tokens: Vec<String>,
    names: Vec<String>,
}

impl<'a> Answers<'a> {
    pub(crate) fn new(certificates: &'a Served) -> Self {
        Self {
            certificates,
            tokens: Vec::new(),
            names: Vec::new(),
        }
    }

    pub(crate) fn http(&mut self, token: &str, authorization: &KeyAuthorization) {
        self.tokens.push(token.to_owned());
        self.certificates.answer_http(token, authorization.as_str());
    }

    /// A certificate that signs itself and carries the proof (RFC 8737 section 3).
    pub(crate) fn alpn(
        &mut self,
        name: &str,
        authorization: &KeyAuthorization,
    ) -> Result<(), Error> {
        let failed = |source| Error::Make {
            what: "certificate that proves a name",
            source,
        };
        let mut params = CertificateParams::new([name.to_owned()]).map_err(failed)?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(
            authorization.digest().as_ref(),
        )];
        let key = new_key()?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        let key =
            certified(certificate.der().clone(), &key).map_err(|error| Error::Certificate {
                names: name.to_owned(),
                reason: error.to_string(),
            })?;
        self.names.push(name.to_owned());
        self.certificates.answer_alpn(name, Arc::new(key));
        Ok(())
    }
}

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        for token in &self.tokens {
            self.certificates.withdraw_http(token);
        }
        for name in &self.names {
            self.certificates.withdraw_alpn(name);
        }
    }
}

/// The challenge to take of those that are configured and offered: the preferred one,
/// and after every failure the next.
pub(crate) fn choose<'a>(
    configured: &'a [Challenge],
    offered: &[instant_acme::Challenge],
    failures: u32,
) -> Option<&'a Challenge> {
    let possible: Vec<_> = configured
        .iter()
        .filter(|challenge| {
            offered
                .iter()
                .any(|offered| offered.r#type == kind(challenge))
        })
        .collect();
    let turn = usize::try_from(failures).unwrap_or(0);
    possible.get(turn.checked_rem(possible.len())?).copied()
}

/// The library's name for it.
pub(crate) fn kind(challenge: &Challenge) -> ChallengeType {
    match challenge {
        Challenge::Http01 => ChallengeType::Http01,
        Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
        Challenge::Dns01(_) => ChallengeType::Dns01,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_gives_the_next_challenge_its_turn() {
        let offered: Vec<instant_acme::Challenge> = serde_json::from_str(
            r#"[{"type":"http-01","url":"a","status":"pending","token":"t"},
                {"type":"dns-persist-01","url":"b","status":"pending"},
                {"type":"tls-alpn-01","url":"c","status":"pending","token":"t"}]"#,
        )
        .unwrap();
        let configured = [Challenge::TlsAlpn01, Challenge::Http01];
        let chosen: Vec<_> = (0..3)
            .map(|failures| choose(&configured, &offered, failures).unwrap().clone())
            .collect();
        assert_eq!(
            chosen,
            [
                Challenge::TlsAlpn01,
                Challenge::Http01,
                Challenge::TlsAlpn01
            ]
        );
        assert_eq!(choose(&configured, &offered[1..2], 0), None);
        assert_eq!(choose(&[], &offered, 7), None);
    }
}
