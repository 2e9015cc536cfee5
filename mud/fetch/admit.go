package fetch

import (
	"context"
	"fmt"
	"time"

	"mudguard/mud"
)

// candidate is a file that may or may not be used.
type candidate struct {
	url      mud.URL
	raw      []byte
	sig      []byte    // the signature that the cache has for these bytes, if any
	accepted bool      // these bytes were accepted before, with a good signature
	at       time.Time // the moment as of which it is judged
	behind   bool      // at is surely before now: nothing is wrong with what begins later
	offline  bool      // the network may not be used

	provisional bool // at is not to be relied on
}

// admit decides whether a file may be used, in the order of RFC 8520 section 13.2: only mud-url and
// mud-signature are read before the signature is known to be good. Of a file that is about another URL it tells who signed
// it: where that is who signed the one in force, the manufacturer moved it (RAU-5-c).
func (c *Client) admit(ctx context.Context, cand candidate) (Document, error) {
	doc := Document{URL: cand.url, Raw: cand.raw, SHA256: digest(cand.raw), Provisional: cand.provisional}
	named, sigURL, err := c.readHead(cand.raw)
	if err != nil {
		return doc, err
	}
	doc.Named = named
	unsigned := c.signed(ctx, cand, sigURL, &doc)
	if named != cand.url {
		e := fail(KindMismatch, "the file says that it is %s, and not %s", named, cand.url)
		if !c.excused(&doc, e) {
			return doc, e
		}
	}
	if unsigned != nil {
		e := explain(unsigned)
		if !c.excused(&doc, e) {
			return doc, e
		}
	}
	return doc, c.readProfile(&doc)
}

// excused reports whether a file is used in spite of e, and leaves the reason in the document.
func (c *Client) excused(doc *Document, e *Error) bool {
	if c.cfg.Approved != nil && c.cfg.Approved(doc.URL, doc.SHA256) {
		doc.Approved, doc.Warning = true, join(doc.Warning, "an administrator approved this file although "+e.Reason)
		return true
	}
	if c.cfg.Policy == Warn && (e.Kind == KindSignature || e.Kind == KindExpired) {
		doc.Warning = join(doc.Warning, e.Reason)
		return true
	}
	return false
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// signed checks the signature and notes the signer in the document. One that is at hand counts also where the file names
// none: an administrator or an integrator may have signed it (section 13.2, T-29).
func (c *Client) signed(ctx context.Context, cand candidate, sigURL string, doc *Document) error {
	if c.cfg.Policy == Ignore {
		return nil
	}
	if len(cand.sig) > 0 {
		err := c.verify(cand, cand.sig, doc)
		if err == nil || cand.offline || sigURL == "" {
			return err
		} // else it may have been signed anew
	}
	switch {
	case sigURL == "":
		return fail(KindSignature, "the file names no mud-signature: it is not signed")
	case cand.offline:
		return fail(KindSignature, "its signature is not here")
	}
	r, err := c.get(ctx, request{url: sigURL, accept: mediaSignature, limit: MaxSignatureSize})
	if err != nil {
		e := explain(err)
		held := fail(KindSignature, "its signature %s can't be had: %s", sigURL, e.Reason)
		held.Temporary, held.cause = e.Temporary, e
		return held
	}
	doc.Problems = append(doc.Problems, r.notes...)
	return c.verify(cand, r.body, doc)
}

// verify checks one signature. A certificate that expired since does not take back what was accepted while it
// was valid (erratum 7819, R8520-13.1-d).
func (c *Client) verify(cand candidate, sig []byte, doc *Document) error {
	s, err := verify(cand.raw, sig, c.signers, cand.at, cand.behind)
	if err != nil {
		if e := explain(err); e.Kind != KindExpired || !cand.accepted {
			return e
		}
	}
	doc.Signed, doc.Signature, doc.SignedAt = true, sig, s.SignedAt
	doc.Signer, doc.SignerName, doc.SignerSKI = s.Signer, s.Name, s.SKI
	return nil
}

// readHead reads the two leaves that may be read before verification.
func (c *Client) readHead(raw []byte) (u mud.URL, sig string, err error) {
	defer contain(&err)
	u, sig, err = c.cfg.Head(raw)
	if err != nil {
		err = &Error{Kind: KindFile, Reason: clean("this is no MUD file: " + err.Error()), cause: err}
	}
	return u, sig, err
}

// readProfile reads the whole file.
func (c *Client) readProfile(doc *Document) (err error) {
	defer contain(&err)
	p, problems, err := c.cfg.Parse(doc.Raw)
	doc.Problems = append(doc.Problems, problems...)
	if err != nil {
		return &Error{Kind: KindFile, Reason: clean("the file can't be used: " + err.Error()), cause: err}
	}
	doc.Profile = p
	return nil
}

// contain turns a panic over a hostile file into an error: one bad file must not take the gateway down.
func contain(err *error) {
	if p := recover(); p != nil {
		*err = fail(KindFile, "the file can't be read: %s", fmt.Sprint(p))
	}
}
