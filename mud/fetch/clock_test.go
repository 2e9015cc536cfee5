package fetch

import (
	"strings"
	"testing"
	"time"
)

var never = func() bool { return false }

// hardening.md 3.3: the clock never runs below its floor while nobody sets it, and goes on from there (F12).
func TestClock(t *testing.T) {
	built := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		wall   time.Time
		synced bool
		state  ClockState
		want   time.Time
	}{
		{"1970", time.Unix(60, 0), false, ClockFloored, built},
		{"build date", built, false, ClockUnsynced, built},
		{"ten years ahead", built.AddDate(10, 0, 0), false, ClockUnsynced, built.AddDate(10, 0, 0)},
		{"set to before the floor", built.AddDate(0, -1, 0), true, ClockSynced, built.AddDate(0, -1, 0)},
	} {
		wall := c.wall
		k := NewClock(built, func() time.Time { return wall }, func() bool { return c.synced })
		if k.State() != c.state || !k.Now().Equal(c.want) {
			t.Errorf("%s: %s, %s", c.name, k.State(), k.Now())
		}
		wall = wall.Add(time.Hour)
		if !k.Now().Equal(c.want.Add(time.Hour)) {
			t.Errorf("%s: an hour later it is %s", c.name, k.Now())
		}
	}
	k := NewClock(built, func() time.Time { return time.Unix(60, 0) }, never)
	k.Raise(built.AddDate(0, 0, 3))
	k.Raise(built)
	if !k.Now().Equal(built.AddDate(0, 0, 3)) {
		t.Errorf("raised to %s", k.Now())
	}
}

// T-35, F12: a gateway that boots in 1970 gets its first profile: certificates that begin after the floor are no reason to refuse,
// those that ended before it are. What it accepts so is judged again once the clock is set.
func TestFetchWithoutClock(t *testing.T) {
	floor := time.Now().AddDate(0, -2, 0)
	boot := NewClock(floor, func() time.Time { return time.Unix(60, 0) }, never)
	fetch := func(t *testing.T, clock *Clock, signer spec) (*Client, Document, error) {
		s, maker := newSite(t), makeCA(t, "Maker CA")
		signer.name, signer.by, signer.usage = "MUD signer", maker, 1
		s.publish(t, makeCert(t, signer))
		cfg := s.config(maker)
		cfg.Clock, cfg.CacheDir = clock, t.TempDir()
		client := newClient(t, cfg)
		doc, err := fetchAndKeep(t, client, mudURL(t, s.at("/lamp")))
		return client, doc, err
	}
	t.Run("1970", func(t *testing.T) {
		client, doc, err := fetch(t, boot, spec{})
		must(t, err)
		if !doc.Signed || !doc.Provisional {
			t.Errorf("got %+v", doc)
		}
		for _, at := range []time.Time{time.Unix(60, 0), floor, time.Now().AddDate(10, 0, 0)} { // after a restart, in any state of the clock
			client.clock = NewClock(floor, func() time.Time { return at }, never)
			doc, err = client.Load(doc.URL)
			must(t, err)
			if !doc.Provisional {
				t.Error("forgot that it is provisional")
			}
		}
		client.clock = clockAt(time.Now)
		doc, err = client.Recheck(doc.URL)
		must(t, err)
		must(t, client.Keep(doc))
		if doc, err = client.Load(doc.URL); err != nil || doc.Provisional {
			t.Errorf("after the clock was set: provisional %v, %v", doc.Provisional, err)
		}
		client.clock = clockAt(func() time.Time { return time.Now().AddDate(10, 0, 0) })
		_, err = client.Load(doc.URL)
		must(t, err)
	})
	t.Run("ten years ahead", func(t *testing.T) { // everything is expired: nothing new comes in, and it says why
		_, _, err := fetch(t, NewClock(floor, func() time.Time { return time.Now().AddDate(10, 0, 0) }, never), spec{})
		if e := wantError(t, err, KindTLS, "clock"); !e.Temporary {
			t.Error("not tried again")
		}
	})
	t.Run("signer expired before the floor", func(t *testing.T) {
		maker := makeCA(t, "Maker CA")
		raw := mudFile("https://lamp.example/lamp", "")
		by := makeCert(t, spec{name: "s", by: maker, usage: 1, from: time.Now().AddDate(-1, 0, 0), to: floor.AddDate(0, 0, -1)})
		_, err := verify(raw, sign(t, raw, by, "-noattr"), pool(maker), boot.Now(), true)
		wantError(t, err, KindSignature, "")
	})
	t.Run("set later, and the certificate had expired by then", func(t *testing.T) {
		clock := NewClock(floor, func() time.Time { return time.Unix(60, 0) }, never)
		client, doc, err := fetch(t, clock, spec{to: time.Now().Add(time.Hour)})
		must(t, err)
		client.clock = clockAt(func() time.Time { return time.Now().AddDate(1, 0, 0) })
		_, err = client.Recheck(doc.URL)
		wantError(t, err, KindExpired, "expired since")
	})
	t.Run("not yet valid by a clock that is set", func(t *testing.T) {
		_, _, err := fetch(t, clockAt(func() time.Time { return time.Now().AddDate(0, -1, 0) }), spec{})
		wantError(t, err, KindTLS, "clock")
	})
}

// A file that came by other means counts as one from its server does, if it is signed: by its maker, or by the administrator
// who signs what its maker did not (R8520-1.6-g, R8520-3.2-a, T-29, T27).
func TestImport(t *testing.T) {
	s, admin := newSite(t), makeCA(t, "House CA")
	cfg := s.config(admin)
	cfg.CacheDir = t.TempDir()
	c := newClient(t, cfg)
	raw := mudFile(s.at("/lamp"), "")
	doc, err := c.Import(raw, nil)
	if e := wantError(t, err, KindSignature, "names no mud-signature"); !e.Held() || doc.URL.String() != s.at("/lamp") || doc.SHA256 == "" {
		t.Errorf("unsigned: %+v", doc)
	}
	doc, err = c.Import(raw, sign(t, raw, makeSigner(t, admin)))
	must(t, err)
	if !doc.Signed || !strings.Contains(doc.Signer, "MUD signer") || doc.NextRefresh.Before(time.Now()) {
		t.Errorf("signed by the house: %+v", doc)
	}
	must(t, c.Keep(doc))
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	// The server has the same file, unsigned as ever.
	s.put("/lamp", mediaFile, raw)
	if doc, err = fetchAndKeep(t, c, doc.URL); err != nil || !doc.Signed {
		t.Errorf("after a refresh: %v", err)
	}
	if doc, err = newClient(t, cfg).Load(doc.URL); err != nil || !doc.Signed {
		t.Errorf("after a restart: %v", err)
	}
	// It changes its file: the signature is not over that one.
	s.put("/lamp", mediaFile, append(raw, '\n'))
	_, err = c.Fetch(t.Context(), doc.URL)
	wantError(t, err, KindSignature, "names no mud-signature")
	_, err = c.Import(append(raw, '\n'), sign(t, raw, makeSigner(t, admin)))
	wantError(t, err, KindSignature, "over other bytes")
	_, err = c.Import([]byte("{"), nil)
	wantError(t, err, KindFile, "no MUD file")
}

// RAU-5-c: a file that says to be another's tells who signed it, so that one can see whether its manufacturer moved it.
func TestFetchMoved(t *testing.T) {
	s, maker := newSite(t), makeCA(t, "Maker CA")
	raw := s.publish(t, makeSigner(t, maker))
	s.put("/old", mediaFile, raw)
	doc, err := newClient(t, s.config(maker)).Fetch(t.Context(), mudURL(t, s.at("/old")))
	wantError(t, err, KindMismatch, "/lamp")
	if !doc.Signed || doc.Signer == "" || doc.SignerSKI == "" || doc.Named.String() != s.at("/lamp") {
		t.Errorf("got %+v", doc)
	}
	s.put("/lamp.p7s", mediaSignature, sign(t, raw, makeSigner(t, makeCA(t, "Rogue"))))
	doc, err = newClient(t, s.config(maker)).Fetch(t.Context(), mudURL(t, s.at("/old")))
	wantError(t, err, KindMismatch, "/lamp")
	if doc.Signed || doc.Signer != "" {
		t.Errorf("a rogue's signature counts: %+v", doc)
	}
}
