package mud

import (
	"errors"
	"fmt"
	"strings"
)

// maxQR is what the largest QR code holds, in alphanumeric mode (ISO/IEC 18004).
const maxQR = 4296

// QR is what a sticker says of a device (RFC 9238). Anybody can print one, so it proves nothing (section 8): whoever scans it
// confirms it. Its text is fit for display.
type QR struct {
	Company string // B000; should be the file's mfg-name
	Product string // B001
	Model   string // B002; should be the file's model-name
	URL     URL    // M180, without a query (R9238-3.2.4-a)
	MAC     string // M06C in lower case with colons, 6 octets or 8 (EUI-64); "" where there is none
	Remarks []string
}

// The control characters of ISO/IEC 15434 that RFC 9238 section 3.1 uses.
const (
	qrEnd    = "\x04"
	qrVoid   = "\x1c"
	qrGroup  = "\x1d"
	qrRecord = "\x1e"
	qrField  = "\x1f"

	qrHeader = "[)>" + qrRecord + "06" + qrGroup + "12N"
)

// ParseQR reads the text of a QR code, as a scanner that passes on control characters gives it: an envelope of RFC 9238 section
// 3.1, or just an https URL.
func ParseQR(s string) (QR, error) {
	s = strings.Trim(s, " \r\n\t")
	switch {
	case len(s) > maxQR:
		return QR{}, fmt.Errorf("it has %d octets, and no QR code holds more than %d", len(s), maxQR)
	case hasScheme(s):
		var q QR
		q.remark("it is a plain URL and not a code as RFC 9238 wants it: it says nothing else of the device")
		return q, q.setURL(s)
	case !strings.HasPrefix(s, qrHeader):
		return QR{}, envelopeError(s)
	}
	body, err := lastUnit(s)
	if err != nil {
		return QR{}, err
	}
	return readQR(body)
}

// envelopeError says what is wrong with a text that doesn't start as it should.
func envelopeError(s string) error {
	switch {
	case s == "":
		return errors.New("it is empty")
	case strings.HasPrefix(s, "[)>") && !strings.HasPrefix(s, "[)>"+qrRecord):
		return errors.New("the control characters that separate its parts were lost or replaced on the way; use a scanner that " +
			"passes them on as they are, or give the MUD URL and the MAC by hand")
	case strings.HasPrefix(s, "[)>"):
		return errors.New("it is a code of another kind (ISO/IEC 15434): a MUD URL is in one with format 06 and 12N")
	}
	return errors.New("it is neither a code of RFC 9238, which starts with [)>, nor an https URL")
}

// lastUnit gives the records of a unit. A field separator says that what came before is void (R9238-3.1-b).
func lastUnit(s string) (string, error) {
	s = strings.TrimPrefix(s, qrHeader)
	end := strings.Index(s, qrRecord)
	for {
		i := strings.Index(s, qrVoid)
		if i < 0 || end >= 0 && end < i {
			break
		}
		s = strings.TrimPrefix(s[i+1:], qrHeader)
		end = strings.Index(s, qrRecord)
	}
	if end < 0 {
		return "", errors.New("its end is missing, so a part may be cut off; scan it again")
	}
	return s[:end], nil
}

// readQR reads the records of a unit: four characters that name a field, and its text. Others are flags and the like.
func readQR(body string) (QR, error) {
	var q QR
	field := make(map[string]string)
	for _, r := range strings.FieldsFunc(body, func(c rune) bool { return string(c) == qrField || string(c) == qrGroup }) {
		if len(r) < 4 {
			continue
		}
		id, text := strings.ToUpper(r[:4]), r[4:]
		have, twice := field[id]
		switch {
		case !twice:
			field[id] = text
		case id == "M180" && have != text:
			return QR{}, errors.New("it has two MUD URLs (M180)")
		}
	}
	url, found := field["M180"]
	if !found {
		return QR{}, errors.New("it has no MUD URL (M180)")
	}
	q.Company, q.Product, q.Model = Clean(field["B000"], 255), Clean(field["B001"], 255), Clean(field["B002"], 255)
	if q.Company == "" {
		q.remark("it names no company (B000)") // R9238-3.2.1-a
	}
	if q.Model == "" {
		q.remark("it names no model (B002)") // R9238-3.2.3-a
	}
	if mac, found := field["M06C"]; found {
		q.setMAC(mac)
	}
	return q, q.setURL(url)
}

func (q *QR) remark(format string, args ...any) {
	q.Remarks = append(q.Remarks, fmt.Sprintf(format, args...))
}

// setURL takes the query away first: a sticker can't be changed, and another URL comes by a signed file only (R9238-3.2.4-a).
func (q *QR) setURL(s string) (err error) {
	bare, query, found := strings.Cut(s, "?")
	if found {
		q.remark("the query %s of its URL is left out, as RFC 9238 wants", show(query))
	}
	if q.URL, err = ParseURL(bare); err != nil {
		*q = QR{}
	}
	return err
}

// setMAC takes hexadecimal digits and skips what stands between them (R9238-3.2.5-a).
func (q *QR) setMAC(s string) {
	hex := strings.Map(func(c rune) rune {
		if strings.ContainsRune(" \t!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c) {
			return -1
		}
		return c
	}, strings.ToLower(s))
	if strings.Trim(hex, "0123456789abcdef") != "" || len(hex) != 12 && len(hex) != 16 {
		q.remark("%s is no MAC (M06C): that has 12 hexadecimal digits, or 16", show(s))
		return
	}
	if len(hex) == 16 {
		q.remark("its MAC is an EUI-64, which no Ethernet or Wi-Fi device has")
	}
	q.MAC = colons(hex)
}

// colons writes hexadecimal digits as octets with colons between.
func colons(hex string) string {
	var out []string
	for i := 0; i+1 < len(hex); i += 2 {
		out = append(out, hex[i:i+2])
	}
	return strings.Join(out, ":")
}
