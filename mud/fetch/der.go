package fetch

import (
	"errors"
	"fmt"
	"strings"
)

// checkForm refuses what is not one definite-length DER-like element: PEM and S/MIME text, indefinite lengths,
// trailing bytes, and nesting so deep that the transcoder behind pkcs7.Parse takes quadratic time.
func checkForm(sig []byte) error {
	text := strings.TrimSpace(string(sig[:min(len(sig), 64)]))
	switch {
	case text == "":
		return bad("it is empty")
	case strings.HasPrefix(text, "-----BEGIN"):
		return bad("it is PEM text; RFC 8520 wants DER (openssl cms -sign -outform DER)")
	case strings.HasPrefix(text, "MIME-Version"), strings.HasPrefix(text, "Content-"):
		return bad("it is an S/MIME text; RFC 8520 wants DER (openssl cms -sign -outform DER)")
	case len(sig) > MaxSignatureSize:
		return bad("it is larger than %d bytes", MaxSignatureSize)
	}
	rest, err := element(sig, 0)
	if err != nil {
		return bad("it is not DER: %v (openssl cms -sign -outform DER)", err)
	}
	if len(rest) > 0 {
		return bad("%d bytes follow after it", len(rest))
	}
	return nil
}

// maxNesting is twice what certificates and signatures need.
const maxNesting = 24

// element checks one element and returns what follows it.
func element(b []byte, depth int) ([]byte, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("nested more than %d deep", maxNesting)
	}
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return nil, errors.New("an element without length or with a long tag")
	}
	n, head := int(b[1]), 2
	if n == 0x80 {
		return nil, errors.New("indefinite length")
	}
	if n > 0x80 {
		size := n & 0x7f
		if size > 3 || len(b) < 2+size {
			return nil, errors.New("a length that can't be")
		}
		n, head = 0, 2+size
		for _, c := range b[2:head] {
			n = n<<8 | int(c)
		}
	}
	if n > len(b)-head {
		return nil, errors.New("it ends too early")
	}
	if b[0]&0x20 != 0 {
		for in := b[head : head+n]; len(in) > 0; {
			var err error
			if in, err = element(in, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return b[head+n:], nil
}
