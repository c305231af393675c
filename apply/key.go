package apply

import (
	"encoding/json"

	"rejot.dev/rejot"
)

// EncodeKey writes a key as a JSON array of texts and nulls, and nil as nothing.
func EncodeKey(key []rejot.Value) ([]byte, error) {
	if key == nil {
		return nil, nil
	}
	texts := make([]*string, len(key))
	for i, v := range key {
		switch s, ok := v.Text(); {
		case ok:
			texts[i] = &s
		case v.Kind() == rejot.Unknown:
			return nil, rejot.Errorf(rejot.Corrupt, "column %d of a key is not known", i+1)
		}
	}
	return json.Marshal(texts)
}

// DecodeKey reads what EncodeKey wrote.
func DecodeKey(b []byte) ([]rejot.Value, error) {
	if b == nil {
		return nil, nil
	}
	var texts []*string
	if err := json.Unmarshal(b, &texts); err != nil || texts == nil {
		return nil, err
	}
	key := make([]rejot.Value, len(texts))
	for i, s := range texts {
		key[i] = rejot.NullValue()
		if s != nil {
			key[i] = rejot.TextValue(*s)
		}
	}
	return key, nil
}

// KeyText is EncodeKey as a text, by which keys are told apart; empty where a value is not known.
func KeyText(key []rejot.Value) string {
	b, err := EncodeKey(key)
	if err != nil {
		return ""
	}
	return string(b)
}
