;; Exact ratios: name='value' lines on standard input, a JSON object on standard output.

(use-modules (ice-9 textual-ports)
             (srfi srfi-1))

;; JSON is UTF-8 whatever the locale of the container says.
(set-port-encoding! (current-input-port) "UTF-8")
(set-port-encoding! (current-output-port) "UTF-8")

;; The parameters in TEXT as an association list. A value ends at the first quote that does not begin '\'' (a quote
;; inside it) and may span lines.
(define (parse-parameters text)
  (let next ((start 0) (found '()))
    (let ((opening (string-contains text "='" start)))
      (if opening
          (let ((key (string-trim (substring text start opening) #\newline)))
            (call-with-values
                (lambda () (parse-value text (+ opening 2)))
              (lambda (value end)
                (next end (acons key value found)))))
          found))))

;; The value that begins at START of TEXT, and the place after its closing quote.
(define (parse-value text start)
  (let next ((start start) (parts '()))
    (let* ((quote-at (string-index text #\' start))
           (parts (cons (substring text start quote-at) parts)))
      (if (string-prefix? "'\\''" text 0 4 quote-at)
          (next (+ quote-at 4) (cons "'" parts))
          (values (string-concatenate-reverse parts) (+ quote-at 1))))))

(define (parameter name default)
  (let ((value (assoc-ref parameters name)))
    (if (or (not value) (string-null? value)) default value)))

(define (json-string text)
  (define (escape character)
    (cond ((memv character '(#\" #\\)) (string #\\ character))
          ((char<? character #\space)
           (string-append "\\u" (string-pad (number->string (char->integer character) 16) 4 #\0)))
          (else (string character))))
  (string-append "\"" (string-concatenate (map escape (string->list text))) "\""))

;; The terms of the continued fraction of an exact RATIO.
(define (continued-fraction ratio)
  (let* ((whole (floor ratio))
         (rest (- ratio whole)))
    (if (zero? rest)
        (list whole)
        (cons whole (continued-fraction (/ 1 rest))))))

(define parameters (parse-parameters (get-string-all (current-input-port))))
(define text (parameter "ratio" "355/113"))
;; #e makes the reader take 3.25 for 13/4, and "." would not be a number at all.
(define ratio (string->number (string-append "#e" text)))

(unless (and ratio (rational? ratio))
  (format (current-error-port) "invalid parameter: 'ratio' must be a number like 355/113; it is '~a'~%" text)
  (exit 64))

(format #t "{\"greeting\":~a,\"ratio\":\"~a\",\"continued_fraction\":[~a]}~%"
        (json-string (string-append "Hello, " (parameter "name" "world") "!"))
        ratio
        (string-join (map number->string (continued-fraction ratio)) ","))
