package main

import (
	"fmt"
	"strings"
	"time"

	"mudguard/mud/fetch"
)

// verifyCmd checks a detached CMS signature.
func (c *cli) verifyCmd(args []string) int {
	fs := newFlags("verify")
	var cas []string
	fs.Func("ca", "trust anchors, PEM", func(s string) error {
		cas = append(cas, strings.Split(s, ",")...)
		return nil
	})
	at := time.Now()
	fs.Func("at", "as of that moment", func(s string) (err error) {
		at, err = parseTime(s)
		return err
	})
	asJSON := fs.Bool("json", false, "print JSON")
	pos, code := c.parse(fs, args, 2, -1)
	if len(pos) > 2 && len(cas) > 0 { // --ca FILE...
		cas = append(cas, pos[2:]...)
	}
	switch {
	case code >= 0:
		return code
	case len(cas) == 0:
		return c.misuse("verify", "--ca is missing: the PEM file of the trust anchor")
	}
	return c.verify(pos[0], pos[1], cas, at, *asJSON)
}

func (c *cli) verify(file, signature string, cas []string, at time.Time, asJSON bool) int {
	raw, err := c.readFile(file)
	if err != nil {
		return c.fail("%v", err)
	}
	sig, err := c.readFile(signature)
	if err != nil {
		return c.fail("%v", err)
	}
	roots, err := fetch.LoadRoots(cas)
	if err != nil {
		return c.fail("%v", err)
	}
	s, err := fetch.Verify(raw, sig, roots, at)
	if asJSON {
		return c.encodeVerdict(s, err)
	}
	if err == nil {
		c.say("The signature is good.")
	}
	signed := c.when(s.SignedAt)
	if signed == "" && s.Signer != "" {
		signed = "the signature doesn't say"
	}
	c.pairs("signer", s.Signer, "signed", signed, "chain", strings.Join(s.Chain, " < "))
	if err != nil {
		c.complain("%v", err)
		return exitNo
	}
	return exitOK
}

// Verdict is what verify says, as JSON.
type Verdict struct {
	Good     bool      `json:"good"`
	Error    string    `json:"error,omitempty"`
	Signer   string    `json:"signer"`
	SignedAt time.Time `json:"signed_at,omitzero"`
	Chain    []string  `json:"chain"`
}

func (c *cli) encodeVerdict(s fetch.Signature, err error) int {
	v := Verdict{Good: err == nil, Signer: s.Signer, SignedAt: s.SignedAt, Chain: append([]string{}, s.Chain...)}
	code := exitOK
	if err != nil {
		v.Error, code = err.Error(), exitNo
	}
	c.encode(v)
	return code
}

// parseTime reads an RFC 3339 time, or a date.
func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil && !t.IsZero() {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("it is a time like 2026-01-31T12:00:00Z, or a date")
}
