package check

import (
	"encoding/json"
	"net/url"
	"path"
	"strings"
)

// sarifSchema is the one that code review services know.
const sarifSchema = "https://json.schemastore.org/sarif-2.1.0.json"

// helpBase is where pages of rules are read.
const helpBase = "https://github.com/rejot-dev/rejot/blob/main/"

// The parts of SARIF 2.1.0 that are written. Field names are the standard's.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string       `json:"id"`
		Short   sarifText    `json:"shortDescription"`
		HelpURI string       `json:"helpUri"`
		Default sarifDefault `json:"defaultConfiguration"`
	}
	sarifDefault struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID      string            `json:"ruleId"`
		RuleIndex   int               `json:"ruleIndex"`
		Level       string            `json:"level"`
		Message     sarifText         `json:"message"`
		Locations   []sarifLocation   `json:"locations"`
		Fingerprint map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
)

// SARIF writes a report as SARIF 2.1.0, the form in which code review shows findings in place.
func (r *Report) SARIF(version string) ([]byte, error) {
	run := sarifRun{
		Tool:    sarifTool{sarifDriver{Name: "rejot check", Version: version, InformationURI: "https://rejot.dev", Rules: []sarifRule{}}},
		Results: []sarifResult{},
	}
	index := map[string]int{}
	for i, rule := range rules {
		index[rule.ID] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
			ID: rule.ID, Short: sarifText{rule.Short}, HelpURI: helpBase + rule.Page(), Default: sarifDefault{rule.Severity().sarif()},
		})
	}
	for _, f := range r.Findings {
		result := sarifResult{
			RuleID: f.Rule, RuleIndex: index[f.Rule], Level: f.Severity.sarif(), Message: sarifText{f.message()},
			Locations: []sarifLocation{{sarifPhysical{sarifArtifact{uri(f.Place.File)}, sarifRegion{max(f.Place.Line, 1)}}}},
			// Without the line, so that a finding stays the same one while text above it grows.
			Fingerprint: map[string]string{"rejot/v1": strings.Join([]string{f.Rule, f.Contract, f.Field, path.Base(f.Place.File)}, "|")},
		}
		run.Results = append(run.Results, result)
	}
	return json.MarshalIndent(sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}}, "", "  ")
}

// message is a finding in one text.
func (f *Finding) message() string {
	text := f.Text
	if f.Contract != "" {
		text = f.Contract + ": " + text
	}
	if f.Detail != "" {
		text += "\n\n" + f.Detail
	}
	if f.Mend != "" {
		text += "\n\nMend: " + f.Mend
	}
	if f.Reason != "" {
		text += "\n\nIts severity is set by the manifest: " + f.Reason
	}
	return text
}

func (s Severity) sarif() string {
	switch s {
	case Error:
		return "error"
	case Warning:
		return "warning"
	case Info:
		return "note"
	case Off:
		return "none"
	default:
		return "none"
	}
}

// uri makes a reference relative to the repository of a path.
func uri(file string) string {
	if file == "" {
		return manifestName
	}
	return (&url.URL{Path: strings.TrimPrefix(path.Clean(strings.ReplaceAll(file, "\\", "/")), "./")}).EscapedPath()
}

// manifestName stands for a file that is not known.
const manifestName = "rejot-manifest.json"
