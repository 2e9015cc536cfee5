package enforcer

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Repair is what somebody else did to our tables, and when we saw it.
type Repair struct {
	At   time.Time `json:"at"`
	What string    `json:"what"`
}

// Repair is called when somebody else may have changed our tables: the next sync reads them back and puts right what is not as it
// should be. Where they cannot be read, it is tried again each second.
func (e *Engine) Repair() { e.suspect = true }

// check reads our tables back where it is not sure what the kernel has.
func (e *Engine) check() error {
	first, was := !e.readOnce, e.have
	if !first && !e.suspect {
		return nil
	}
	if err := e.readBack(); err != nil {
		return err
	}
	e.suspect = false
	if harm := Diff(was, e.have); !first && !harm.Empty() {
		e.repairs++
		e.repaired = &Repair{e.Now().UTC(), harm.describe()}
		e.Log.Warn("somebody changed our tables; putting them back", "what", e.repaired.What, "repairs", e.repairs)
		if e.Tell != nil {
			e.tell(NewsRepaired, nil, "Somebody changed the firewall tables of mudguard; they were put right: "+e.repaired.What)
		}
		e.recheck() // flows may have been opened meanwhile
	}
	return nil
}

// describe says what a change is about, in so many words and no more.
func (d Delta) describe() string {
	const most = 5
	var out []string
	for _, t := range d.Tables {
		table := fmt.Sprintf("table %s %s", t.Family, TableName)
		if t.Drop {
			out = append(out, table+" was deleted")
			continue
		}
		var parts []string
		note := func(kind, name string) { parts = append(parts, kind+" "+name) }
		for _, c := range t.AddChains {
			note("chain", c.Name)
		}
		for _, name := range t.DelChains {
			note("chain", name)
		}
		for _, s := range t.AddSets {
			note("set", s.Name)
		}
		for _, name := range t.DelSets {
			note("set", name)
		}
		for _, se := range slices.Concat(t.DelElements, t.AddElements) {
			note("elements of", se.Set.Name)
		}
		slices.Sort(parts)
		parts = slices.Compact(parts)
		if more := len(parts) - most; more > 0 {
			parts = append(parts[:most], fmt.Sprintf("%d more", more))
		}
		out = append(out, table+": "+strings.Join(parts, ", "))
	}
	return strings.Join(out, "; ")
}
