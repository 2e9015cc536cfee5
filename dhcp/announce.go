package dhcp

// Announce takes a MUDstring (RFC 8520 section 10) that reached us in another way than in a frame.
func (s *Sighting) Announce(mudString string) {
	s.URL, s.Problem, s.Remark = readURL([]byte(mudString), false)
}
