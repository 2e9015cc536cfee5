package web

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"mudguard/enforcer"
	"mudguard/mud"
)

// Import is a MUD file that the administrator brings, for gateways that cannot reach its manufacturer's server.
type Import struct {
	File      []byte `json:"file"`
	Signature []byte `json:"signature,omitempty"` // detached CMS, by the manufacturer or the administrator
	Approve   bool   `json:"approve,omitempty"`   // use this very file although nobody signed it
}

// Imported says what came of it.
type Imported struct {
	URL    string `json:"url"`
	SHA256 string `json:"sha256"`
	Signer string `json:"signer"`
	Used   bool   `json:"used"`
	Reason string `json:"reason"` // why it is not used
}

func (a *api) importProfile(r *http.Request) (any, error) {
	var in Import
	if err := body(r.Body, &in); err != nil {
		return nil, err
	}
	doc, err := a.Judge(in.File, in.Signature)
	var held enforcer.HeldError
	if in.Approve && errors.As(err, &held) && !doc.URL.IsZero() {
		if err := a.approveFile(r, doc, err); err != nil {
			return nil, err
		}
		doc, err = a.Judge(in.File, in.Signature)
	}
	if err == nil {
		err = a.change(r, func(e *enforcer.Engine) error { return unused(e.Imported(doc)) })
	}
	out := Imported{URL: doc.URL.String(), SHA256: doc.SHA256, Signer: doc.Signer, Used: err == nil}
	if f, ok := errors.AsType[*failure](err); ok && f.code != http.StatusConflict {
		return nil, err
	}
	if err != nil {
		out.Reason = mud.Clean(err.Error(), 1000)
	}
	return out, nil
}

func unused(err error) error {
	if err != nil {
		return fail(http.StatusConflict, "%v", err)
	}
	return nil
}

func (a *api) approveFile(r *http.Request, doc enforcer.Verified, why error) error {
	who := by(r)
	return a.change(r, func(e *enforcer.Engine) error {
		return unused(e.ApproveFile(doc.URL, doc.SHA256, enforcer.Approval{Time: time.Now().UTC(), By: who, Reason: mud.Clean(why.Error(), 500)}))
	})
}

// Overlay is a MUD file that the administrator lays over those of a model or over one device's; null takes it away.
type Overlay struct {
	Target string          `json:"target"` // a MUD URL or a MAC
	File   json.RawMessage `json:"file"`
}

func (a *api) overlays(r *http.Request) (any, error) {
	if err := onlyQuery(r); err != nil {
		return nil, err
	}
	var out map[string]json.RawMessage
	err := a.do(r, func(e *enforcer.Engine) { out = e.Overlays() })
	return out, err
}

func (a *api) setOverlay(r *http.Request) (any, error) {
	var in Overlay
	if err := body(r.Body, &in); err != nil {
		return nil, err
	}
	err := a.change(r, func(e *enforcer.Engine) error {
		set := func() error { return e.SetOverlay(in.Target, in.File) }
		if len(in.File) == 0 || string(in.File) == "null" {
			set = func() error { return e.RemoveOverlay(in.Target) }
		}
		if err := set(); err != nil {
			return badRequest("%v", err)
		}
		return nil
	})
	return in, err
}

// body reads one JSON object, strictly.
func body(from io.Reader, to any) error {
	dec := json.NewDecoder(from)
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return badRequest("the body cannot be read: %v", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return badRequest("the body must be one JSON object")
	}
	return nil
}
