package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mudguard/mud"
	"mudguard/web"
)

// importCmd brings MUD files with their signatures to the daemon: for sites that cannot reach the manufacturers' servers.
func (c *cli) importCmd(args []string) int {
	flags := newFlags("import")
	approve := flags.Bool("approve", false, "use these very files although nobody signed them")
	k, code := c.asks(flags, args, 1, -1)
	if code >= 0 {
		return code
	}
	files, err := bundle(k.pos)
	if err != nil {
		return c.fail("%v", err)
	}
	results := []imported{}
	for _, f := range files {
		r, err := k.bring(f, *approve)
		if err != nil {
			return c.failed(err)
		}
		results = append(results, r)
	}
	return c.reportImport(results, k.json)
}

// imported is what came of one file.
type imported struct {
	File string `json:"file"`
	web.Imported
}

// bundle lists the MUD files that arguments name: files, and those of directories.
func bundle(args []string) ([]string, error) {
	var out []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			out = append(out, arg)
			continue
		}
		found, err := filepath.Glob(filepath.Join(globQuoted(arg), "*.json"))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s holds no MUD file (*.json)", arg)
		}
		out = append(out, found...)
	}
	return out, nil
}

func globQuoted(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// bring sends one file. Its signature lies beside it, by one of the names that are used for that.
func (k call) bring(file string, approve bool) (imported, error) {
	raw, err := k.readFile(file)
	if err != nil {
		return imported{}, err
	}
	sig, err := signatureOf(file)
	if err != nil {
		return imported{}, err
	}
	reply, err := k.client.Post(k.ctx, "/api/v1/profiles", web.Import{File: raw, Signature: sig, Approve: approve})
	if err != nil {
		return imported{}, err
	}
	r := imported{File: file}
	return r, json.Unmarshal(reply.JSON, &r.Imported)
}

// signatureOf reads the signature beside a file; nil where there is none.
func signatureOf(file string) ([]byte, error) {
	base := strings.TrimSuffix(file, ".json")
	for _, name := range []string{base + ".p7s", file + ".p7s", base + ".p7", base + ".sig"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Size() > 64<<10 {
			return nil, fmt.Errorf("%s is no signature: it is not a file of at most 64 KiB", name)
		}
		return os.ReadFile(name)
	}
	return nil, nil
}

func (c *cli) reportImport(results []imported, asJSON bool) int {
	code := exitOK
	rows := [][]string{}
	for _, r := range results {
		outcome := "used"
		if r.Signer != "" {
			outcome += ", signed by " + r.Signer
		}
		if !r.Used {
			outcome, code = "not used: "+r.Reason, exitNo
		}
		rows = append(rows, []string{r.File, r.URL, outcome})
	}
	if asJSON {
		raw, err := json.Marshal(results)
		if err != nil {
			return c.failed(err)
		}
		c.printJSON(raw)
		return code
	}
	c.table([]string{"FILE", "MUD URL", "RESULT"}, rows, nil)
	return code
}

// overlayCmd lays a MUD file over those of a model or over one device's, shows what is laid over, or takes it away.
func (c *cli) overlayCmd(args []string) int {
	flags := newFlags("overlay")
	remove := flags.Bool("remove", false, "take it away")
	k, code := c.asks(flags, args, 0, 2)
	if code >= 0 {
		return code
	}
	switch {
	case len(k.pos) == 2 && !*remove:
		raw, err := c.readFile(k.pos[1])
		if err != nil {
			return c.fail("%v", err)
		}
		if _, problems, err := mud.Parse(raw); err != nil {
			for _, p := range problems {
				c.complain("%s", p)
			}
			return exitNo
		}
		return k.lay(web.Overlay{Target: k.pos[0], File: raw}, "laid over "+k.pos[0])
	case len(k.pos) == 1 && *remove:
		return k.lay(web.Overlay{Target: k.pos[0]}, "taken away from "+k.pos[0])
	case *remove || len(k.pos) == 2:
		return c.misuse("overlay", "--remove takes one MAC or MUD URL")
	}
	return k.listOverlays()
}

func (k call) lay(o web.Overlay, done string) int {
	reply, err := k.client.Post(k.ctx, "/api/v1/overlays", o)
	if err != nil {
		return k.failed(err)
	}
	if k.json {
		k.printJSON(reply.JSON)
	} else {
		k.say("%s", done)
	}
	return exitOK
}

// listOverlays shows whose overlays there are, or one of them as it is.
func (k call) listOverlays() int {
	var all map[string]json.RawMessage
	reply, err := k.client.Get(k.ctx, "/api/v1/overlays", nil)
	if err == nil {
		err = json.Unmarshal(reply.JSON, &all)
	}
	if err != nil {
		return k.failed(err)
	}
	if len(k.pos) == 1 {
		file, ok := all[k.pos[0]]
		if !ok {
			k.complain("there is no overlay for %s", k.pos[0])
			return exitNo
		}
		k.printJSON(file)
		return exitOK
	}
	if k.json {
		k.printJSON(reply.JSON)
		return exitOK
	}
	for _, target := range slices.Sorted(maps.Keys(all)) {
		k.say("%s", target)
	}
	return exitOK
}
