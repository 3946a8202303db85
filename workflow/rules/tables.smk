# Rules of the step `tables`.
