//! Why a request is refused before anything looks at what it asks for.

use http::StatusCode;

/// A reason to answer a request with an error and to close its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request line is not `METHOD SP TARGET SP VERSION`.
    RequestLine,
    /// The version is not 1.0 or 1.1.
    Version,
    /// A line ends in LF alone, or CR, NUL or another control stands in it.
    ControlByte,
    /// A field continues on a second line.
    FoldedField,
    /// A field's name is not a token, or blanks stand before its colon.
    FieldName,
    /// Blanks stand around a field's value.
    FieldValue,
    /// Content-Length is no number or is there more than once.
    ContentLength,
    /// Content-Length and Transfer-Encoding together.
    TwoLengths,
    /// A transfer coding below `chunked`, which nobody here undoes.
    TransferEncoding,
    /// The last transfer coding is not `chunked` (RFC 9112 section 6.3).
    NoEnd,
    /// The chunks of the body are malformed.
    Chunk,
    /// No Host field.
    NoHost,
    /// More than one Host field.
    SeveralHosts,
    /// The Host field or the target's authority is no host.
    InvalidHost,
    /// The target names another host than the Host field.
    HostMismatch,
    /// The connection was opened for another host.
    Misdirected,
    /// The target is no path and no URL.
    Target,
    /// No scheme.
    Scheme,
    /// A pseudo-field stands after the body.
    PseudoTrailer,
    /// CONNECT: this is no forward proxy.
    Connect,
    /// The request line is longer than allowed.
    TargetTooLong,
    /// The header section is longer than allowed or has too many fields.
    HeadTooLarge,
    /// The header section did not arrive in time.
    HeadTimeout,
    /// The body stopped arriving.
    BodyTimeout,
    /// The client broke the body off.
    BodyBroken,
}

impl Refusal {
    /// The status of the answer.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::TransferEncoding => StatusCode::NOT_IMPLEMENTED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HeadTimeout | Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// What is wrong, in one sentence.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::RequestLine => "The request line is malformed.",
            Self::Version => "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
            Self::ControlByte => {
                "A control character stands in the header section, or a line does not end in CR LF."
            }
            Self::FoldedField => "A header field continues on a second line.",
            Self::FieldName => "The name of a header field is malformed.",
            Self::FieldValue => "Blanks stand around the value of a header field.",
            Self::ContentLength => "Content-Length is not one number.",
            Self::TwoLengths => "Content-Length and Transfer-Encoding exclude each other.",
            Self::TransferEncoding => "The only transfer coding understood here is chunked.",
            Self::NoEnd => "The last transfer coding is not chunked: the body has no end.",
            Self::Chunk => "The chunks of the body are malformed.",
            Self::NoHost => "The request has no Host field.",
            Self::SeveralHosts => "The request has more than one Host field.",
            Self::InvalidHost => "The host of the request is malformed.",
            Self::HostMismatch => "The target and the Host field name different hosts.",
            Self::Misdirected => {
                "The certificate of this connection is for other hosts; a connection of its own is needed."
            }
            Self::Target => "The target of the request is neither a path nor a URL.",
            Self::Scheme => "The scheme of the request is empty.",
            Self::PseudoTrailer => "A pseudo-field stands in the trailers of the request.",
            Self::Connect => "CONNECT is for forward proxies; this server is none.",
            Self::TargetTooLong => "The address of the request is too long.",
            Self::HeadTooLarge => {
                "The header section is too large. Deleting this site's cookies may help."
            }
            Self::HeadTimeout => "The header section did not arrive in time.",
            Self::BodyTimeout => "The body of the request stopped arriving.",
            Self::BodyBroken => "The body of the request broke off.",
        }
    }
}
