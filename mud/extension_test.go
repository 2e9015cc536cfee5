package mud

import (
	"reflect"
	"strings"
	"testing"
)

// extended reads a file that declares an extension and has a member in its mud container.
func extended(t *testing.T, declared, member string) (Profile, []Problem) {
	t.Helper()
	p, problems, err := Parse(mudFile(goodLeaves+`,"extensions":[`+declared+`],`+member, ""))
	if err != nil {
		t.Fatalf("%s: %v", member, err)
	}
	return p, problems
}

// TestTransparency is RFC 9472 (R9472-3-a, R9472-4-a); what its examples call it is another name (T-41).
func TestTransparency(t *testing.T) {
	for _, tc := range []struct {
		in    string
		want  *Transparency
		worst Severity
	}{
		{`{}`, &Transparency{}, SeverityWarning},
		{`{"sboms":[{"version-info":"1","sbom-url":"https://a.example/1"},{"version-info":"2"}],"vuln-url":["https://a.example/v"]}`,
			&Transparency{SBOMs: []SBOM{{"1", "https://a.example/1"}, {"2", ""}}, VulnURLs: []string{"https://a.example/v"}}, SeverityWarning},
		{`{"sbom-local-well-known":"coaps","sbom-archive-list":"https://a.example/a","vuln-contact-uri":"tel:+1"}`,
			&Transparency{SBOMLocal: "coaps", SBOMArchive: "https://a.example/a", VulnContact: "tel:+1"}, SeverityWarning},
		{`{"sbom-local-well-known":"ietf-mud-transparency:http"}`, &Transparency{SBOMLocal: "http"}, SeverityWarning},
		{`{"sbom-contact-uri":"mailto:a@a.example"}`, &Transparency{SBOMContact: "mailto:a@a.example"}, SeverityWarning},
		{`{"vuln-url":["javascript:alert(1)","https://a.example/"]}`, &Transparency{VulnURLs: []string{"https://a.example/"}}, SeverityWarning},
		{`{"contact-info":"x","vuln-contact-uri":"https://a.example"}`, &Transparency{VulnContact: "https://a.example"}, SeverityError},
		{`{"sbom-contact-uri":"javascript:alert(1)"}`, nil, SeverityError},
		{`{"sbom-contact-uri":"mailto"}`, nil, SeverityError},
		{`{"sbom-local-well-known":"ftp"}`, nil, SeverityError},
		{`{"sbom-local-well-known":"http","sbom-contact-uri":"tel:+1"}`, nil, SeverityError}, // a choice
		{`{"vuln-url":["https://a"],"vuln-contact-uri":"tel:+1"}`, nil, SeverityError},
		{`{"sboms":[{"sbom-url":"https://a"}]}`, nil, SeverityError},
		{`{"sboms":[{"version-info":"1"},{"version-info":"1"}]}`, nil, SeverityError},
		{`{"sboms":[{"version-info":"1","sbom-url":"ftp://a"}]}`, nil, SeverityError},
		{`{"sboms":{}}`, nil, SeverityError},
		{`null`, nil, SeverityError},
	} {
		p, problems := extended(t, `"transparency"`, `"ietf-mud-transparency:transparency":`+tc.in)
		if !reflect.DeepEqual(p.Transparency, tc.want) || worstOf(problems) != tc.worst {
			t.Errorf("%s: got %+v, want %+v; %v", tc.in, p.Transparency, tc.want, problems)
		}
	}
	p, problems := extended(t, `"transparency"`, `"mudtx:transparency":{"sbom-contact-uri":"tel:+1"}`)
	if p.Transparency == nil || !worstRow(problems, "R9472-3-a") {
		t.Errorf("the name of the RFC's examples: %+v, %v", p.Transparency, problems)
	}
	if p, _ := extended(t, `"ol"`, `"ietf-mud-transparency:transparency":{}`); p.Transparency != nil {
		t.Error("R8520-3.9-a: it isn't declared and is read")
	}
}

// TestExtensions has the other known ones (R8520-3.9-a, R8520-3.9-b, standards.md section 8).
func TestExtensions(t *testing.T) {
	p, problems := extended(t, `"ol","masa","ietf-mud-tls"`, `"ietf-ol:ol":{"license":[{"owner-name":"A","spdx-tag":["MIT","0BSD"]},`+
		`{"owner-name":"B","license-info":["https://a.example/l","ftp://a.example"]}]},"ietf-mud-brski-masa:masa-server":"https://m.example",`+
		`"ietf-mud-tls:is-tls-dtls-profile-supported":true`)
	want := []Licence{{Owner: "A", SPDX: []string{"MIT", "0BSD"}}, {Owner: "B", Info: []string{"https://a.example/l"}}}
	if !reflect.DeepEqual(p.Licences, want) || p.MASA != "https://m.example" || !p.TLSProfile || worstOf(problems) == SeverityError {
		t.Errorf("got %+v, %q, %t: %v", p.Licences, p.MASA, p.TLSProfile, problems)
	}
	for _, member := range []string{
		`"ietf-ol:ol":{"license":[{"spdx-tag":["MIT"]}]}`,
		`"ietf-ol:ol":{"license":[{"owner-name":"","spdx-tag":["MIT"]}]}`,
		`"ietf-ol:ol":{"license":[{"owner-name":"A","spdx-tag":["MIT"],"license-info":["https://a"]}]}`,
		`"ietf-ol:ol":{"license":[{"owner-name":"A","spdx-tag":["MIT","MIT"]}]}`,
		`"ietf-mud-tls:is-tls-dtls-profile-supported":"true"`,
		`"ietf-mud-brski-masa:masa-server":5`,
		`"ietf-mud-detext-example:is-detnet-required":"false"`,
		`"ietf-mud-reporter-extension:reporter":{"frequency":59}`,
		`"ietf-mud-controller-candidate:controller-candidates":{"urls":"https://a"}`,
	} {
		p, problems := extended(t, `"ol","masa","ietf-mud-tls"`, member)
		if p.Licences != nil || p.MASA != "" || p.TLSProfile || worstOf(problems) != SeverityError {
			t.Errorf("%s: broken, and read as %+v: %v", member, p, problems)
		}
	}
}

// TestTLSProfile is RFC 9761 (R9761-5.1-a, R9761-5.1-b, R9761-5-a, R9761-5.4-a); its own example follows other names than its YANG (T-41).
func TestTLSProfile(t *testing.T) {
	read := func(leaves, profiles string) (ACE, []Problem) {
		t.Helper()
		ace := accept(`"tcp":{},` + profiles)
		p, problems, err := Parse(mudFile(goodLeaves+leaves+strings.Replace(bothPolicies, "in", "out", 1),
			`{"name":"out"`+v4+`,"aces":{"ace":[`+ace+`]}}`))
		if err != nil {
			t.Fatal(err)
		}
		return p.FromDevice.ACEs[0], problems
	}
	const declared = `,"extensions":["ietf-mud-tls"],"ietf-mud-tls:is-tls-dtls-profile-supported":true`
	full := `"ietf-acl-tls:client-profiles":{"tls-dtls-profile":[{"name":"p","supported-tls-version":["tls12","tls13"],` +
		`"supported-dtls-version":["dtls13"],"cipher-suite":[4865],"extension-type":[10,11],"accept-list-ta-cert":["AAE="],` +
		`"psk-key-exchange-mode":[1],"supported-group":[29],"signature-algorithm-cert":[1027],"signature-algorithm":[2052],` +
		`"application-protocol":["h2"],"cert-compression-algorithm":[1],"certificate-authorities":["CN=x"]}]}`
	want := []TLSProfile{{Name: "p", TLSVersions: []string{"tls12", "tls13"}, DTLSVersions: []string{"dtls13"}, CipherSuites: []uint16{4865},
		ExtensionTypes: []uint16{10, 11}, SupportedGroups: []uint16{29}, SignatureAlgorithms: []uint16{2052},
		SignatureAlgorithmsCert: []uint16{1027}, CertCompressionAlgorithms: []uint16{1}, PSKKeyExchangeModes: []uint8{1},
		ApplicationProtocols: []string{"h2"}, CertificateAuthorities: []string{"CN=x"}, TrustAnchors: [][]byte{{0, 1}}}}
	ace, problems := read(declared, full)
	if !reflect.DeepEqual(ace.TLS, want) || ace.Refused != "" || worstOf(problems) == SeverityError {
		t.Errorf("got %+v: %v", ace, problems)
	}
	for _, tc := range []struct {
		name, leaves, profiles, row string
		refused, read               bool
	}{
		{"R9761-5.4-a", declared, full, "R9761-5.4-a", false, true},
		{"R8520-3.9-a undeclared", "", full, "R8520-3.9-a", false, false},
		{"R9761-5.4-a flag", `,"extensions":["ietf-mud-tls"]`, full, "R9761-5.4-a", false, true},
		{"R9761-5.1-b", declared, `"ietf-acl-tls:client-profile":{"tls-dtls-profiles":[{"name":"p","supported-tls-versions":["tls13"],` +
			`"cipher-suites":[4865]}]}`, "R9761-5.1-b", false, true},
		{"R9761-5-a", declared, strings.Replace(full, "4865", "4865,2570", 1), "R9761-5-a", false, true},
		{"R9761-5-a PSK", declared, strings.Replace(full, `mode":[1]`, `mode":[42]`, 1), "R9761-5-a", false, true},
		{"R9761-5.1-a version", declared, strings.Replace(full, `"tls13"`, `"tls-1.3"`, 1), "R9761-5.1-a", true, false},
		{"T-13 T-42 no leaf for pins", declared, strings.Replace(full, `"name":"p"`, `"name":"p","spki-pin-set":["AAE="]`, 1), "T-13", true, false},
	} {
		ace, problems := read(tc.leaves, tc.profiles)
		found := false
		for _, p := range problems {
			found = found || p.Row == tc.row
		}
		if !found || (ace.Refused != "") != tc.refused || !tc.refused && (len(ace.TLS) == 1) != tc.read {
			t.Errorf("%s: got %+v: %v", tc.name, ace, problems)
		}
	}
}
