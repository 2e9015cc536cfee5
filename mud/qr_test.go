package mud

import (
	"slices"
	"strings"
	"testing"
)

const goodQR = qrHeader + "B000Lamp Inc." + qrField + "B001Lamp" + qrField + "B002L1" + qrField + "M180https://mud.example/m1" + qrField + "M06Cb8:27:eb:00:00:01" + qrField + qrRecord + qrEnd

func TestParseQR(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(goodQR, old, new, 1) }
	for _, tc := range []struct {
		name, s string
		company string
		model   string
		url     string // "" for an error
		mac     string
		remark  string // or error: a part of it
	}{
		{"R9238-3.1-a golden", goodQR, "Lamp Inc.", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", ""},
		{"R9238-3.1-a line end", goodQR + "\r\n", "Lamp Inc.", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", ""},
		{"R9238-3.1-a no EoT", strings.TrimSuffix(goodQR, qrEnd), "Lamp Inc.", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", ""},
		{"R9238-3.1-a noise", replace("12N", "12N"+qrGroup+"Z1"+qrField+"E999flags"+qrField), "Lamp Inc.", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", ""},
		{"R9238-3.1-a last without US", replace(qrField+qrRecord, qrRecord), "Lamp Inc.", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", ""},
		{"R9238-3.1-a case", replace("M180", "m180"), "Lamp Inc.", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", ""},
		{"R9238-3.1-b restart", replace(qrField+"M180", qrVoid+qrHeader+"B000Other"+qrField+"B002X"+qrField+"M180"), "Other", "X", "https://mud.example/m1", "b8:27:eb:00:00:01", ""},
		{"R9238-3.1-b restart without header", replace("Lamp Inc.", "Old"+qrField+"M180https://old.example"+qrField+qrVoid+"B000New"), "New", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", ""},
		{"R9238-3.1-b after the end", goodQR + qrVoid + qrHeader + "M180https://b.example" + qrRecord + qrEnd, "Lamp Inc.", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", ""},
		{"R9238-3.1-b nothing after", goodQR[:40] + qrVoid, "", "", "", "", "its end is missing"},
		{"R9238-3.2.1-a", replace("B000Lamp Inc."+qrField, ""), "", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", "no company"},
		{"R9238-3.2.2-a", replace("B001Lamp"+qrField, ""), "Lamp Inc.", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", ""},
		{"R9238-3.2.3-a", replace("B002L1"+qrField, ""), "Lamp Inc.", "", "https://mud.example/m1", "b8:27:eb:00:00:01", "no model"},
		{"R9238-3.2.4-a query", replace("/m1", "/m1?x=1#y"), "Lamp Inc.", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", "query"},
		{"R9238-3.2.4-a none", replace("M180", "M181"), "", "", "", "", "no MUD URL"},
		{"R9238-3.2.4-a two", replace("B001Lamp", "M180https://b.example"), "", "", "", "", "two MUD URLs"},
		{"R9238-3.2.4-a http", replace("https", "http"), "", "", "", "", "https"},
		{"R9238-3.2.5-a hyphens", replace("b8:27:eb", "B8-27-EB"), "Lamp Inc.", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", ""},
		{"R9238-3.2.5-a spaces", replace("b8:27:eb:00", "b827 eb.0 0"), "Lamp Inc.", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", ""},
		{"R9238-3.2.5-a EUI-64", replace("b8:27", "b8:27:ff:fe"), "Lamp Inc.", "L1", "https://mud.example/m1", "b8:27:ff:fe:eb:00:00:01", "EUI-64"},
		{"R9238-3.2.5-a short", replace("b8:", ""), "Lamp Inc.", "L1", "https://mud.example/m1", "", "no MAC"},
		{"R9238-3.2.5-a letters", replace("b8:", "g8:"), "Lamp Inc.", "L1", "https://mud.example/m1", "", "no MAC"},
		{"hostile text", replace("Lamp Inc.", "\x1b[31m"), "\ufffd[31m", "L1", "https://mud.example/m1", "b8:27:eb:00:00:01", ""},
		{"plain URL", "https://mud.example/m1", "", "", "https://mud.example/m1", "", "plain URL"},
		{"plain http URL", "http://mud.example/m1", "", "", "", "", "https"},
		{"other codes", "WIFI:S:x;;", "", "", "", "", "https"},
		{"text", "hello", "", "", "", "", "neither"},
		{"empty", " ", "", "", "", "", "empty"},
		{"another format", "[)>" + qrRecord + "05" + qrGroup + "12N" + qrRecord + qrEnd, "", "", "", "", "another kind"},
		{"named control characters", strings.NewReplacer(qrRecord, "<RS>", qrGroup, "<GS>", qrField, "<US>", qrEnd, "<EOT>").Replace(goodQR), "", "", "", "", "control characters"},
		{"pictures of control characters", strings.NewReplacer(qrRecord, "␞", qrGroup, "␝", qrField, "␟", qrEnd, "␄").Replace(goodQR), "", "", "", "", "control characters"},
		{"no control characters", strings.NewReplacer(qrRecord, "", qrGroup, "", qrField, "", qrEnd, "").Replace(goodQR), "", "", "", "", "control characters"},
		{"cut", goodQR[:len(goodQR)-3], "", "", "", "", "its end is missing"},
		{"too long", goodQR + strings.Repeat("x", maxQR), "", "", "", "", "octets"},
	} {
		q, err := ParseQR(tc.s)
		if q.Company != tc.company || q.Model != tc.model || q.URL.String() != tc.url || q.MAC != tc.mac || (err == nil) != (tc.url != "") {
			t.Errorf("%s: %+v, %v", tc.name, q, err)
		}
		said := strings.Join(q.Remarks, "\n")
		if err != nil {
			said = err.Error()
		}
		if !strings.Contains(said, tc.remark) || tc.remark == "" && said != "" {
			t.Errorf("%s: want %q, have %q", tc.name, tc.remark, said)
		}
	}
}

func FuzzParseQR(f *testing.F) {
	f.Add(goodQR)
	f.Add("https://mud.example/m1?x")
	f.Add(qrHeader + qrVoid + "M180https://h" + qrField + "M06C1" + qrRecord)
	f.Fuzz(func(t *testing.T, s string) {
		q, err := ParseQR(s)
		if (err == nil) == q.URL.IsZero() || strings.Contains(q.URL.String(), "?") {
			t.Errorf("%+v, %v", q, err)
		}
		if err != nil && (q.Company != "" || q.MAC != "" || q.Remarks != nil) {
			t.Errorf("an error and %+v", q)
		}
		for _, text := range slices.Concat(q.Remarks, []string{q.Company, q.Product, q.Model, q.MAC}) {
			if Clean(text, 1000) != text {
				t.Errorf("not fit for display: %q", text)
			}
		}
	})
}
