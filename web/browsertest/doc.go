// Package browsertest drives the pages in Chromium: every page and every button, on a phone and a desktop, light and dark, with
// no device, a few and five hundred, and with devices whose texts are hostile. axe-core looks for barriers to people who use
// a keyboard or a screen reader.
package browsertest
