-- Classifications around a time and statuses by their identity are looked for without walking a line's whole history.
ALTER TABLE line_input ADD KEY line_input_kind (line, kind, at);
