package main

func demoCmd([]string) int { panic("demo: not there yet") }
