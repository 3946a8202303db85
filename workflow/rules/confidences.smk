# Rules of the step `confidences`.
