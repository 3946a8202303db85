# Rules of the step `metrics`.
